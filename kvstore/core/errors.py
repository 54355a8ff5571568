"""What can go wrong, as one tree.

Every error is either *definite* (it did not happen and never will) or *indefinite* (it may
still happen). After a definite error a client may safely repeat a write; after an indefinite
one it must check first, or repeat the write under the same idempotency key.

::

    KvstoreError
    ├── DefiniteError
    │   ├── InvalidRequest          the request is malformed
    │   ├── TooLarge                a body, key or value over its limit
    │   ├── RequestTimeout          the client did not send its whole request in time
    │   ├── Unauthorized            the cluster's bearer token is missing or wrong
    │   ├── Forbidden               the caller's address may not use this route
    │   ├── NotLeader               only the leader takes writes
    │   ├── NotFollower             only a follower takes replication messages
    │   ├── PreconditionFailed      If-Match / If-None-Match does not hold
    │   ├── BatchRefused            the precondition of an operation of a batch does not hold
    │   ├── KeyReused               an idempotency key was reused with another payload
    │   ├── NothingToForce          force_start has nothing to decide
    │   ├── EntriesCut              the log no longer reaches back that far
    │   ├── NotReady                this node cannot serve reads now
    │   └── WriteRefused            this leader takes no writes now
    │       ├── NotEnoughFollowers  fewer followers than the write quorum are reachable
    │       └── Overloaded          too much is pending; try again later
    ├── IndefiniteError
    │   ├── QuorumNotReached        the entry is in the log and keeps replicating
    │   ├── OutcomeUnknown          an earlier attempt of the same write may be in a log
    │   ├── NotApplied              the node did not reach the index asked for in time
    │   └── TransportError          a message to a follower got no usable answer
    ├── ReignEnded                  a leader's reign is over; never leaves the core
    │   ├── Deposed                 another reign has begun
    │   └── OldCopy                 the leader's directory is an old copy of itself
    ├── SettingsError               the environment holds invalid settings
    └── StorageError                the data directory cannot be used, or a write to it failed
"""


class KvstoreError(Exception):
    """Base of every error this package raises on purpose."""


class DefiniteError(KvstoreError):
    """It did not happen and never will."""


class InvalidRequest(DefiniteError):
    """The request is malformed; the text says how."""


class TooLarge(DefiniteError):
    """A body, key or value is over its limit."""


class RequestTimeout(DefiniteError):
    """The client did not send its whole request in time."""


class Unauthorized(DefiniteError):
    """The cluster's bearer token is missing or wrong."""


class Forbidden(DefiniteError):
    """The caller's address may not use this route."""


class NotLeader(DefiniteError):
    """Only the leader does this.

    :param leader_url: the leader's URL; None while this node has not met one.
    """

    def __init__(self, leader_url: str | None) -> None:
        super().__init__("not leader")
        self.leader_url = leader_url


class NotFollower(DefiniteError):
    """Only a follower takes replication messages."""

    def __init__(self) -> None:
        super().__init__("not a follower")


class PreconditionFailed(DefiniteError):
    """The key's newest version is not the one the client asked for.

    :param version: the key's newest version; None when it does not exist.
    """

    def __init__(self, version: int | None) -> None:
        super().__init__("precondition failed")
        self.version = version


class BatchRefused(DefiniteError):
    """A key's newest version is not the one that an operation of a batch asks for.

    :param outcomes: of each operation its key, whether its precondition holds, and the key's newest
        version before the batch; None when it does not exist.
    """

    def __init__(self, outcomes: list[tuple[str, bool, int | None]]) -> None:
        super().__init__("precondition failed")
        self.outcomes = outcomes


class KeyReused(DefiniteError):
    """An idempotency key was reused with another payload."""

    def __init__(self) -> None:
        super().__init__("the idempotency key was used with another payload")


class NothingToForce(DefiniteError):
    """There is nothing for force_start to decide; the text says why."""


class EntriesCut(DefiniteError):
    """The log no longer reaches back to the entries asked for.

    :param index: up to where the node's map holds what they did.
    """

    def __init__(self, index: int) -> None:
        super().__init__("the log no longer reaches back to this index: read a copy of the store")
        self.index = index


class NotReady(DefiniteError):
    """This node cannot serve reads now."""


class WriteRefused(DefiniteError):
    """This leader takes no writes now; the text says why."""


class NotEnoughFollowers(WriteRefused):
    """Fewer followers than the write quorum are reachable, or a takeover waits for some."""

    def __init__(self) -> None:
        super().__init__("not enough followers")


class Overloaded(WriteRefused):
    """Too much is pending; the same request may succeed later."""

    def __init__(self) -> None:
        super().__init__("too many writes are waiting for the quorum")


class IndefiniteError(KvstoreError):
    """It may still happen."""


class QuorumNotReached(IndefiniteError):
    """The write quorum did not confirm the entry in time; the leader keeps replicating it.

    :param version: index of the entry.
    :param replicas_confirmed: followers known to hold it so far.
    """

    def __init__(self, version: int, replicas_confirmed: int) -> None:
        super().__init__("quorum not reached")
        self.version = version
        self.replicas_confirmed = replicas_confirmed


class OutcomeUnknown(IndefiniteError):
    """This leader cannot tell now whether an earlier attempt under the same idempotency key made
    an entry.
    """

    def __init__(self) -> None:
        super().__init__("this leader does not know yet whether the write was made before")


class NotApplied(IndefiniteError):
    """The node did not apply the requested index in time.

    :param applied_index: what it has applied.
    """

    def __init__(self, applied_index: int) -> None:
        super().__init__("min_version not reached")
        self.applied_index = applied_index


class TransportError(IndefiniteError):
    """A message got no usable answer: it may or may not have been received."""


class ReignEnded(KvstoreError):
    """A follower's answer ends this node's reign, or its attempt to begin one."""


class Deposed(ReignEnded):
    """Another reign has begun; the text says which."""


class OldCopy(ReignEnded):
    """A follower holds entries of this epoch that the leader lacks: the leader's directory is an
    old copy of itself. The text says which follower.
    """


class SettingsError(KvstoreError):
    """The environment holds invalid settings.

    :param problems: one sentence for each.
    """

    def __init__(self, problems: list[str]) -> None:
        super().__init__("\n".join(problems))
        self.problems = problems


class StorageError(KvstoreError):
    """The data directory cannot be used, or a write to it failed."""
