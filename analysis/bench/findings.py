"""Findings: what was measured, beside what was to be reached."""

import json
import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Literal

from analysis.report.tables import markdown_table

Sense = Literal["least", "most"]


@dataclass(frozen=True)
class Finding:
    """One figure.

    :param subject: what it is about.
    :param value: NaN = could not be measured; ``note`` says why.
    :param unit: of the value and the target; empty for a ratio.
    :param target: None = there is none.
    :param sense: whether the target is the least or the most that the value should be.
    :param note: for people.
    """

    subject: str
    value: float
    unit: str = ""
    target: float | None = None
    sense: Sense = "least"
    note: str = ""

    @property
    def reached(self) -> bool | None:
        """Whether the value is where it should be; None without a target or a value."""
        if self.target is None or math.isnan(self.value):
            return None
        return self.value >= self.target if self.sense == "least" else self.value <= self.target

    @property
    def verdict(self) -> str:
        """The target and whether it is reached, in words."""
        if self.target is None:
            return "—"
        sign = "≥" if self.sense == "least" else "≤"
        words = {True: "reached", False: "**missed**", None: "not measured"}[self.reached]
        return f"{sign} {_rounded(self.target)} {self.unit}".strip() + f": {words}"

    @property
    def amount(self) -> str:
        """The value with its unit."""
        return "—" if math.isnan(self.value) else f"{_rounded(self.value)} {self.unit}".strip()


def findings_markdown(findings: Sequence[Finding]) -> str:
    """The findings as a Markdown table."""
    rows = [[each.subject, each.amount, each.verdict, each.note] for each in findings]
    return markdown_table(("what", "measured", "target", ""), rows)


def write_findings(findings: Sequence[Finding], path: Path) -> None:
    """Write the findings as JSON: a list of objects, with ``reached`` beside the fields."""
    found = [
        {
            **asdict(each),
            "value": None if math.isnan(each.value) else each.value,
            "reached": each.reached,
        }
        for each in findings
    ]
    path.write_text(json.dumps(found, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")


def _rounded(value: float) -> str:
    """Three significant digits, without an exponent."""
    if value == 0 or abs(value) >= 100:
        return f"{value:,.0f}"
    digits = 2 - math.floor(math.log10(abs(value)))
    return f"{value:.{max(digits, 0)}f}".rstrip("0").rstrip(".") if digits > 0 else f"{value:.0f}"
