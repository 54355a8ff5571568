"""How a fault is planted, and how its catcher runs."""

import signal
import sys
from collections.abc import Callable
from contextlib import redirect_stdout
from dataclasses import dataclass
from functools import reduce
from io import StringIO
from pathlib import Path
from typing import Any, ParamSpec, TypeVar

import pytest

from tests.simulation.campaign import run_campaign

P = ParamSpec("P")
R = TypeVar("R")

SIMULATOR = "the simulator"
SEED = 20_000
"""A fixed seed of the random schedules, which find nothing from there on without a fault."""
SCHEDULES = 500
MAX_SECONDS = 120
"""Then the process is killed: a fault may go round in circles."""
UNIT_TESTS = "tests/unit/"
ROOT = Path(__file__).parents[2]
# Loading all plugins would take longer than most of the tests.
OPTIONS = ("--disable-plugin-autoload", "-p", "timeout", "-p", "no:cacheprovider", "-q", "-x")


@dataclass(frozen=True, slots=True)
class PlantedFault:
    """A fault, ready to be planted.

    :param name: what is wrong then.
    :param replaced: the function or method of the product whose place it takes.
    :param replacement: what takes its place.
    :param caught_by: ``SIMULATOR``, or the id of a test below ``tests/unit``.
    """

    name: str
    replaced: Callable[..., Any]
    replacement: Callable[..., Any]
    caught_by: str

    def plant(self) -> None:
        """Plant it into this process, for good."""
        *owners, name = self.replaced.__qualname__.split(".")
        if owners:
            owner = reduce(getattr, owners, sys.modules[self.replaced.__module__])
            setattr(owner, name, self.replacement)
            return
        for module_name, module in list(sys.modules.items()):
            if module_name.startswith("kvstore.") and vars(module).get(name) is self.replaced:
                setattr(module, name, self.replacement)

    def is_caught(self) -> tuple[bool, str]:
        """Plant it, and run what must catch it; whether it did, and what it printed."""
        self.plant()
        with redirect_stdout(StringIO()) as output:
            if self.caught_by == SIMULATOR:
                signal.alarm(MAX_SECONDS)
                caught = bool(run_campaign(SEED, schedules=SCHEDULES, max_failures=1).failures)
            else:
                code = pytest.main([*OPTIONS, f"{ROOT}/{UNIT_TESTS}{self.caught_by}"])
                caught = code == pytest.ExitCode.TESTS_FAILED
        return caught, output.getvalue()


FAULTS: list[PlantedFault] = []


def planted(replaced: Callable[P, R], caught_by: str) -> Callable[[Callable[P, R]], Callable[P, R]]:
    """Declare that a function is a fault: see :class:`PlantedFault`."""

    def declare(replacement: Callable[P, R]) -> Callable[P, R]:
        name = replacement.__name__.replace("_", " ")
        FAULTS.append(PlantedFault(name, replaced, replacement, caught_by))
        return replacement

    return declare
