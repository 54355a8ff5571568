"""The report, its pictures and findings, on synthetic studies whose answers are known."""

import csv
from dataclasses import replace
from pathlib import Path

import numpy as np
from msgspec import structs

from analysis.report.comparison import compare
from analysis.report.findings import findings
from analysis.report.pictures import draw_pictures
from analysis.report.report import render_failure, render_html, render_markdown
from analysis.report.tables import SUMMARY_COLUMNS, text_table, wide_table, write_summary
from analysis.study.results import Results, RunData
from kvstore.api_types import Exchange
from tests.unit.analysis.sample import make_results, save_results


def test_a_study_in_which_the_quorum_matters_says_so() -> None:
    found = "\n".join(findings(make_results()))
    assert "One client at a low rate: the mean rises with each of the 4 steps of W." in found
    assert "no effect of W" not in found


def test_a_study_in_which_it_makes_no_difference_says_so() -> None:
    found = "\n".join(findings(make_results(rise_ms=0.0, noise_ms=0.2, seed=2)))
    assert "**no effect of W is shown**" in found
    assert "the mean rises with each" not in found


def test_delays_made_longer_by_the_sending_are_explained_and_others_are_not() -> None:
    results, random = make_results(regimes=("idle",)), np.random.default_rng(1)
    runs = {
        cause: tuple(
            replace(run, exchanges=_late(run.exchanges, cause, random)) for run in results.runs
        )
        for cause in ("sending", "chance")
    }
    by_sending, by_chance = (
        "\n".join(findings(Results(results.study, runs[cause]))) for cause in runs
    )
    assert "what makes them long" in by_sending
    assert "does not explain it" in by_chance
    assert "had been sent" not in "\n".join(findings(results)), "these delays follow the law"


def test_what_a_write_costs_beyond_its_own_delays_holds_no_chance_of_the_draw() -> None:
    results = make_results(regimes=("idle", "idle_wide"), idle_writes=10, repeats=3)

    def beyond_by_2_ms(run: RunData) -> RunData:
        own_ms = run.waits.kth_delay_ms()[run.run.write_quorum - 1]
        latency_ms = np.full_like(run.log.latency_ms, own_ms + 2)
        return replace(run, log=replace(run.log, latency_ms=latency_ms))

    runs = tuple(map(beyond_by_2_ms, results.runs))
    changed = Results(results.study, runs)
    assert "beside the delays of its own requests, a write takes 2.0 to 2.0 ms more" in "\n".join(
        findings(changed)
    )
    rows = wide_table(changed).rows
    assert [row[-1] for row in rows] == ["2.00 (2.00 to 2.00)"] * 5
    assert any(abs(float(row[-2]) - 2) > 0.5 for row in rows), "the draw has no chance in it"


def test_the_report_says_whether_the_processors_could_fall_asleep() -> None:
    results = make_results(regimes=("idle",))

    def report(*, kept_awake: bool) -> str:
        runs = (
            replace(run, result=structs.replace(run.result, kept_awake=kept_awake))
            for run in results.runs
        )
        return render_markdown(Results(results.study, tuple(runs)), (), Path())

    assert "could fall asleep" in report(kept_awake=False)
    assert "were kept from falling asleep" in report(kept_awake=True)


def test_a_disk_that_is_slower_to_wake_up_is_told() -> None:
    results = make_results(regimes=("idle", "idle_wide"))

    def found(wide_ms: float | None) -> str:
        times_ms = {"idle": 0.5, "idle_wide": wide_ms}
        runs = (
            replace(run, result=structs.replace(run.result, commit_ms=times_ms[run.run.regime]))
            for run in results.runs
        )
        return "\n".join(findings(Results(results.study, tuple(runs))))

    assert "disk took 1.50 ms on average meanwhile, and 0.50 ms" in found(1.5)
    assert "takes longer to wake up" in found(1.5)
    assert "the disk does not explain it" in found(0.5)
    assert "node's disk" not in found(None)


def _late(
    exchanges: tuple[Exchange, ...], cause: str, random: np.random.Generator
) -> tuple[Exchange, ...]:
    """The exchanges, with delays 0.1 ms too long on average."""
    by_end = sorted(exchanges, key=lambda each: each.sent_s)
    found = by_end[:1]
    for each in by_end[1:]:
        busy = each.sent_s - found[-1].sent_s < 0.2e-3
        late_s = 0.2e-3 * busy if cause == "sending" else random.uniform(0, 0.2e-3)
        found.append(structs.replace(each, sent_s=each.sent_s + late_s))
    return tuple(found)


def test_pictures_and_report_hold_what_was_measured(tmp_path: Path) -> None:
    results = make_results()
    pictures = draw_pictures(results, tmp_path / "pictures")
    names = [picture.name for picture in pictures]
    assert names == ["quorum_latency", "parts", "distribution", "throughput", "consistency"]
    drawn = pictures[0].svg.read_text(encoding="utf-8")
    for text in ("end to end", "without delay", "delay by the law", "delay as it happened"):
        assert text in drawn
    page, text = render_html(results, pictures), render_markdown(results, pictures, tmp_path)
    assert page.count("data:image/png;base64,") == len(pictures)
    assert "](pictures/quorum_latency.png)" in text
    assert "**Check passed.**" in text
    assert "Check passed" in page
    assert "Idle: one client, at a low rate" in text_table(results)
    write_summary(results, tmp_path / "summary.csv")
    with (tmp_path / "summary.csv").open(encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 3 * 5
    assert set(rows[0]) == {"regime", *(name for name, *_ in SUMMARY_COLUMNS)}


def test_saved_data_give_the_same_findings(tmp_path: Path) -> None:
    results = make_results()
    save_results(results, tmp_path)
    assert findings(Results.load(tmp_path)) == findings(results)


def test_a_study_compared_with_itself_does_not_differ() -> None:
    results = make_results()
    _, sentences = compare(results, results)
    assert sentences == ["No figure differs for certain: every interval holds 1."]


def test_a_study_that_could_not_begin_says_why() -> None:
    text = render_failure(make_results().study, "no leader")
    assert "**Check failed: nothing was measured** (local nodes)." in text
    assert "no leader" in text
