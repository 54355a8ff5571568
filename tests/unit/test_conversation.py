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
from kvstore.core.follower import Follower
from kvstore.core.leader import Leader
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
    """Executes a conversation with a follower that answers at once.

    :param refused: the messages that the follower refuses.
    """

    def __init__(self, leader: Leader, answering: Follower, *refused: type[Message]) -> None:
        self.conversation = Conversation("f0", leader, max)
        self.answering = answering
        self.refused = refused
        self.now_s = 0.0
        self.sent: list[tuple[type[Message], float]] = []
        """What was sent, and when."""
        self._leader = leader

    def run(self, seconds: float) -> None:
        end_s = self.now_s + seconds
        while self.now_s < end_s:
            match self.conversation.next_step(self.now_s):
                case Send(message):
                    self._send(message)
                case Wait(waits_s) | BackOff(waits_s):
                    self.now_s += waits_s

    def pauses_s(self, kind: type[Message]) -> list[float]:
        """How long it took from each message of a kind to the next."""
        times_s = [at_s for sent, at_s in self.sent if sent is kind]
        return [later_s - at_s for at_s, later_s in pairwise(times_s)]

    def _send(self, message: Message) -> None:
        self.sent.append((type(message), self.now_s))
        if isinstance(message, self.refused):
            answer = replace(self.answering.hello(Hello(epoch=0, reign_id="")), error="refused")
        else:
            answer = handle(self.answering, message)
        self.conversation.answered(message, answer, self.now_s)
        save(self._leader)


def lose(conversation: Conversation) -> float:
    """Lose the next message; how long the conversation backs off then."""
    assert isinstance(conversation.next_step(0.0), Send)
    conversation.lost("gone")
    step = conversation.next_step(0.0)
    assert isinstance(step, BackOff)
    return step.seconds


def hear(conversation: Conversation, answering: Follower) -> bool:
    """Let the follower answer the next message; whether it is news that it does."""
    step = conversation.next_step(0.0)
    assert isinstance(step, Send)
    return conversation.answered(step.message, handle(answering, step.message), 0.0)


def test_the_back_off_of_losses_doubles_up_to_its_bound() -> None:
    conversation = Conversation("f0", make_leader(), max)
    lost = [lose(conversation) for _ in range(1100)]
    assert lost[:6] == pytest.approx(DOUBLED_S)
    assert set(lost[6:]) == {BACKOFF_MAX_S}


def test_the_jitter_of_the_back_off_takes_half_of_it_at_most() -> None:
    conversation = Conversation("f0", make_leader(), min)
    assert [lose(conversation) for _ in range(6)] == pytest.approx([s / 2 for s in DOUBLED_S])


def test_after_an_answer_losses_are_counted_anew() -> None:
    leader, followers = make_cluster()
    conversation = Conversation("f0", leader, max)
    conversation.lost("gone")
    conversation.next_step(0.0)
    assert lose(conversation) > BACKOFF_MIN_S
    hear(conversation, followers["f0"])
    write_durably(leader)
    assert lose(conversation) == BACKOFF_MIN_S


def test_only_the_first_loss_and_the_first_answer_after_it_are_news() -> None:
    leader, followers = make_cluster()
    write_durably(leader)
    conversation = Conversation("f0", leader, max)
    assert not hear(conversation, followers["f0"]), "nobody has missed it"
    assert [conversation.lost("gone") for _ in range(3)] == [True, False, False]
    conversation.next_step(0.0)
    assert hear(conversation, followers["f0"])
    write_durably(leader)
    assert not hear(conversation, followers["f0"])
    assert conversation.lost("gone")


@pytest.mark.parametrize("refused", [Append, Claim])
def test_a_follower_that_refuses_is_asked_ever_less_though_it_answers_every_hello(
    refused: type[Message],
) -> None:
    leader, followers = make_cluster()
    write_durably(leader)
    if refused is Claim:
        leader = make_leader(kept_state(leader))
    executor = Executor(leader, followers["f0"], refused)
    executor.run(10.0)
    pauses_s = executor.pauses_s(refused)
    assert pauses_s[:6] == pytest.approx(DOUBLED_S)
    assert pauses_s[6:] == pytest.approx([BACKOFF_MAX_S] * len(pauses_s[6:]))
    assert Hello in {kind for kind, _ in executor.sent}


def test_after_an_accepted_message_refusals_are_counted_anew() -> None:
    leader, followers = make_cluster()
    write_durably(leader)
    executor = Executor(leader, followers["f0"], Append)
    executor.run(1.0)
    executor.refused = ()
    executor.run(1.0)
    assert leader.replicas(leader.log.last_index) == 1
    executor.refused, executor.sent = (Append,), []
    write_durably(leader)
    executor.run(0.1)
    assert executor.pauses_s(Append)[:2] == pytest.approx(DOUBLED_S[:2])


@pytest.mark.parametrize(("draw", "factor"), [(min, 1.0), (max, 1.2)])
def test_a_heartbeat_is_due_after_a_while_without_messages(
    draw: Callable[[float, float], float], factor: float
) -> None:
    leader, followers = make_cluster()
    write_durably(leader)
    conversation = Conversation("f0", leader, draw)
    hear(conversation, followers["f0"])
    step = conversation.next_step(0.2)
    assert isinstance(step, Wait)
    assert step.seconds == pytest.approx(factor * HEARTBEAT_S - 0.2)
    step = conversation.next_step(factor * HEARTBEAT_S)
    assert isinstance(step, Send)
    assert isinstance(step.message, Append)
    assert step.message.entries == []


def test_what_there_is_to_say_ends_a_wait_but_no_back_off() -> None:
    leader, _ = make_cluster()
    conversation = Conversation("f0", leader, max)
    assert isinstance(conversation.next_step(0.0), Wait)
    write_durably(leader)
    assert isinstance(conversation.next_step(0.0), Send)
    conversation.lost("gone")
    assert isinstance(conversation.next_step(0.0), BackOff)


def test_the_conversation_with_a_follower_that_is_none_any_more_ends() -> None:
    leader, followers = make_cluster()
    write_durably(leader)
    conversation = Conversation("f0", leader, max)
    step = conversation.next_step(0.0)
    assert isinstance(step, Send)
    del leader.followers["f0"]
    assert conversation.next_step(0.0) == End()
    conversation.answered(step.message, handle(followers["f0"], step.message), 0.0)
    conversation.lost("gone")
    assert conversation.next_step(0.0) == End()
