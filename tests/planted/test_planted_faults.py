"""Every planted fault is caught by what must catch it."""

import multiprocessing
from concurrent.futures import ProcessPoolExecutor

import pytest

from tests.planted import (  # noqa: F401 (they declare the faults)
    follower_faults,
    leader_faults,
    reign_faults,
    storage_faults,
    takeover_faults,
)
from tests.planted.planting import FAULTS, ROOT, SIMULATOR, UNIT_TESTS, PlantedFault

MISFITS = ("AttributeError", "NameError", "TypeError")
"""What a fault raises that does not fit the product any more; that is not what it is caught by."""


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault.name.replace(" ", "-"))
def test_planted_fault_is_caught(fault: PlantedFault) -> None:
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload([PlantedFault.__module__])
    with ProcessPoolExecutor(1, context) as fork:
        caught, output = fork.submit(fault.is_caught).result()
    assert caught, output
    assert not any(error in output for error in MISFITS), output


def test_the_table_in_the_docs_is_this_list() -> None:
    _, section = (ROOT / "docs/TESTING.md").read_text("utf-8").split("\n## Planted faults\n")
    rows = [line for line in section.splitlines() if line.startswith("| ")]
    assert rows[1:] == [row(fault) for fault in FAULTS]


def row(fault: PlantedFault) -> str:
    replaced = f"{fault.replaced.__module__}.{fault.replaced.__qualname__}"
    simulator = fault.caught_by == SIMULATOR
    catcher = SIMULATOR if simulator else f"`{UNIT_TESTS}{fault.caught_by}`"
    return f"| {fault.name} | `{replaced.removeprefix('kvstore.')}` | {catcher} |"
