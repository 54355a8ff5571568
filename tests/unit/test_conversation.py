"""The conversation with a follower: what is done next, and for how long."""

from collections.abc import Callable
from itertools import pairwise

import pytest
from msgspec.structs import replace

from kvstore.core.conversation import (
    BACKOFF_MAX_S,
    BACKOFF_MIN_S,
    BackOff,
    Conversation,
    End,
    Send,
    Wait,
)
from kvstore.core.messages import Append, Claim, Hello, Message
from kvstore.core.progress import HEARTBEAT_S
from tests.support.replication import (
    handle,
    kept_state,
    make_cluster,
    make_leader,
    save,
    write_durably,
)

DOUBLED_S = [BACKOFF_MIN_S * 2**number for number in range(6)]


class Executor:
    """Executes the conversation with one of the followers of a leader; it answers at once.

    :param draw: stands for chance.
    """

    def __init__(self, draw: Callable[[float, float], float] = max) -> None:
        self.leader, followers = make_cluster()
        write_durably(self.leader)
        self.follower = followers["f0"]
        self.draw = draw
        self.refused: tuple[type[Message], ...] = ()
        """The messages that the follower refuses."""
        self.now_s = 0.0
        self.sent: list[tuple[type[Message], float]] = []
        """What was sent, and when."""
        self.conversation = Conversation("f0", self.leader, draw)

    def restart_leader(self) -> None:
        self.leader = make_leader(kept_state(self.leader))
        self.conversation = Conversation("f0", self.leader, self.draw)

    def run(self, seconds: float) -> None:
        end_s = self.now_s + seconds
        while self.now_s < end_s:
            match self.conversation.next_step(self.now_s):
                case Send(message):
                    self.hear(message)
                case Wait(waits_s) | BackOff(waits_s):
                    self.now_s += waits_s

    def next_message(self, now_s: float = 0.0) -> Message:
        step = self.conversation.next_step(now_s)
        assert isinstance(step, Send)
        return step.message

    def hear(self, message: Message) -> bool:
        """Let the follower answer a message; whether it is news that it does."""
        self.sent.append((type(message), self.now_s))
        if isinstance(message, self.refused):
            answer = replace(self.follower.hello(Hello(epoch=0, reign_id="")), error="refused")
        else:
            answer = handle(self.follower, message)
        is_news = self.conversation.answered(message, answer, self.now_s)
        save(self.leader)
        return is_news

    def lose(self) -> float:
        """Lose the next message; how long the conversation backs off then."""
        self.next_message()
        self.conversation.lost("gone")
        step = self.conversation.next_step(0.0)
        assert isinstance(step, BackOff)
        return step.seconds

    def pauses_s(self, kind: type[Message]) -> list[float]:
        """How long it took from each message of a kind to the next."""
        times_s = [at_s for sent, at_s in self.sent if sent is kind]
        return [later_s - at_s for at_s, later_s in pairwise(times_s)]


@pytest.mark.parametrize(("draw", "part"), [(max, 1.0), (min, 0.5)])
def test_the_back_off_of_losses_doubles_up_to_its_bound(
    draw: Callable[[float, float], float], part: float
) -> None:
    executor = Executor(draw)
    lost = [executor.lose() for _ in range(1100)]
    assert lost[:6] == pytest.approx([part * seconds for seconds in DOUBLED_S])
    assert set(lost[6:]) == {part * BACKOFF_MAX_S}
    executor.hear(executor.next_message())
    assert executor.lose() == part * BACKOFF_MIN_S, "after an answer losses are counted anew"


def test_only_the_first_loss_and_the_first_answer_after_it_are_news() -> None:
    executor = Executor()
    assert not executor.hear(executor.next_message()), "nobody has missed it"
    assert [executor.conversation.lost("gone") for _ in range(3)] == [True, False, False]
    executor.conversation.next_step(0.0)
    assert executor.hear(executor.next_message())
    write_durably(executor.leader)
    assert not executor.hear(executor.next_message())
    assert executor.conversation.lost("gone")


@pytest.mark.parametrize("refused", [Append, Claim])
def test_a_follower_that_refuses_is_asked_ever_less_though_it_answers_every_hello(
    refused: type[Message],
) -> None:
    executor = Executor()
    if refused is Claim:
        executor.restart_leader()
    executor.refused = (refused,)
    executor.run(10.0)
    pauses_s = executor.pauses_s(refused)
    assert pauses_s[:6] == pytest.approx(DOUBLED_S)
    assert pauses_s[6:] == pytest.approx([BACKOFF_MAX_S] * len(pauses_s[6:]))
    assert Hello in {kind for kind, _ in executor.sent}


def test_after_an_accepted_message_refusals_are_counted_anew() -> None:
    executor = Executor()
    executor.refused = (Append,)
    executor.run(1.0)
    executor.refused = ()
    executor.run(1.0)
    assert executor.leader.replicas(executor.leader.log.last_index) == 1
    executor.refused, executor.sent = (Append,), []
    write_durably(executor.leader)
    executor.run(0.1)
    assert executor.pauses_s(Append)[:2] == pytest.approx(DOUBLED_S[:2])


@pytest.mark.parametrize(("draw", "factor"), [(min, 1.0), (max, 1.2)])
def test_a_heartbeat_is_due_after_a_while_without_messages(
    draw: Callable[[float, float], float], factor: float
) -> None:
    executor = Executor(draw)
    executor.hear(executor.next_message())
    step = executor.conversation.next_step(0.2)
    assert isinstance(step, Wait)
    assert step.seconds == pytest.approx(factor * HEARTBEAT_S - 0.2)
    heartbeat = executor.next_message(factor * HEARTBEAT_S)
    assert isinstance(heartbeat, Append)
    assert heartbeat.entries == []


def test_what_there_is_to_say_ends_a_wait_but_no_back_off() -> None:
    executor = Executor()
    executor.hear(executor.next_message())
    assert isinstance(executor.conversation.next_step(0.0), Wait)
    write_durably(executor.leader)
    executor.next_message()
    executor.conversation.lost("gone")
    assert isinstance(executor.conversation.next_step(0.0), BackOff)


def test_the_conversation_with_a_follower_that_is_none_any_more_ends() -> None:
    executor = Executor()
    message = executor.next_message()
    del executor.leader.followers["f0"]
    assert executor.conversation.next_step(0.0) == End()
    executor.hear(message)
    executor.conversation.lost("gone")
    assert executor.conversation.next_step(0.0) == End()
