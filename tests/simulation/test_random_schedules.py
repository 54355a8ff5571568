"""Random schedules of faults: they violate nothing, and what fails can be repeated and shrunk."""

import random

import pytest

from kvstore.core.lineage import holds_more
from tests.simulation.campaign import run_campaign
from tests.simulation.schedule import Schedule
from tests.simulation.shrink import Attempt, shrink

FIXED_SEED = 20_000
SECONDS = 10.0


@pytest.mark.parametrize("kind", ["fixed seed", "fresh seed"])
def test_no_invariant_is_violated(kind: str) -> None:
    seed = FIXED_SEED if kind == "fixed seed" else random.SystemRandom().randrange(10**9)
    summary = run_campaign(seed, seconds=SECONDS)
    assert not summary.failures, "\n\n".join(summary.failures)
    assert summary.counts["faults"] > 0
    assert summary.counts["confirmed"] > 0


def test_seed_repeats_a_schedule_exactly() -> None:
    def events(seed: int) -> list[str]:
        schedule = Schedule(seed)
        assert schedule.run() is None
        return [f"{at_s} {event[:2]}" for at_s, event in schedule.world.trace]

    assert events(1) == events(1)
    assert events(1) != events(2)


def test_failure_is_shrunk_to_what_it_needs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("kvstore.core.takeover.holds_more", lambda a, b: holds_more(b, a))
    summary = run_campaign(1_000_000, schedules=50, max_failures=1)
    seed = summary.seed + summary.schedules - 1
    assert f"--repeat {seed}" in summary.failures[0]
    whole, small = Attempt(seed), shrink(seed)
    assert small.invariant == whole.invariant
    assert 0 < len(small.schedule.causes) < len(whole.schedule.causes) / 4
    again = Attempt(seed, left_out=small.left_out, earlier=small.draws)
    assert str(again.failure) == str(small.failure)
