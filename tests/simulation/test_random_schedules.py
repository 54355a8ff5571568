"""Random schedules of faults, and that they find faults in the rules."""

import random

import pytest

from kvstore.core.messages import Answer, Message
from kvstore.core.quorum import WriteQuorum
from kvstore.node.follower_node import FollowerNode
from tests.simulation.campaign import Summary, run_campaign
from tests.simulation.schedule import Schedule
from tests.simulation.setup import Rules

FIXED_SEED = 20_000
SECONDS = 10.0


@pytest.mark.parametrize("kind", ["fixed seed", "fresh seed"])
def test_no_invariant_is_violated(kind: str, summaries: list[Summary]) -> None:
    seed = FIXED_SEED if kind == "fixed seed" else random.SystemRandom().randrange(10**9)
    summary = run_campaign(seed, seconds=SECONDS)
    summaries.append(summary)
    assert not summary.failures, "\n\n".join(summary.failures)
    assert summary.faults > 0
    assert summary.confirmed > 0


def test_seed_repeats_a_schedule_exactly() -> None:
    def events(seed: int) -> list[str]:
        schedule = Schedule(seed)
        schedule.run()
        return [f"{at_s} {event[:2]}" for at_s, event in schedule.world.trace]

    assert events(1) == events(1)
    assert events(1) != events(2)


class _AnswersTooEarly(FollowerNode):
    def receive(self, message: Message) -> Answer:
        answer = self._handle(message)
        self._copy.follow()
        return answer


def test_faulty_subclass_is_found() -> None:
    summary = run_campaign(
        1, schedules=20, max_failures=1, rules=Rules(follower_node=_AnswersTooEarly)
    )
    assert "only what is durable" in summary.failures[0]
    assert f"--repeat {summary.seed + summary.schedules - 1}" in summary.failures[0]


def test_faulty_function_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    advance = WriteQuorum.advance

    def by_maximum(self: WriteQuorum, leader_index: int, match_indexes: list[int]) -> int:
        highest = max(match_indexes, default=0)
        return advance(self, leader_index, [highest] * len(match_indexes))

    monkeypatch.setattr(WriteQuorum, "advance", by_maximum)
    summary = run_campaign(1, schedules=50, max_failures=1)
    assert "the quorum holds it" in summary.failures[0]
