"""The cluster on the page: six durable nodes of its own, or one that runs elsewhere.

Everything that can be done to it has the command beside it that does the same in a terminal.
"""

import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from analysis.nodes.local_cluster import LocalCluster
from analysis.nodes.node import Node
from analysis.nodes.waiting import wait_until
from kvstore.client import Client, ClientError
from kvstore.client.node_client import NodeClient

FOLLOWERS = 5
WRITE_QUORUM = 2
DELAY_MS = (0.1, 1.0)
SETTINGS = {"WRITE_QUORUM": str(WRITE_QUORUM), "REPL_TIMEOUT": "2"}
_PATIENCE_S = 30.0
_KEEPS_UP_S = 1.0


class StageError(Exception):
    """It cannot be done now; the text says why, for people."""


@dataclass
class Actor:
    """One node on the stage.

    :param address: what the leader calls it; None of a leader.
    :param is_cut_off: whether the network between it and the nodes of the other role loses
        everything.
    """

    name: str
    node: NodeClient
    role: str
    address: str | None
    is_cut_off: bool = False


class Stage(ABC):
    """What the page acts on.

    :ivar actors: all nodes, the leader first.
    """

    actors: list[Actor]
    owns_processes: bool

    @property
    def leader(self) -> Actor:
        """The node that is meant to lead."""
        return next(each for each in self.actors if each.role == "leader")

    @property
    def leaders(self) -> list[Actor]:
        """It, and those before it."""
        return [each for each in self.actors if each.role != "follower"]

    @property
    def followers(self) -> list[Actor]:
        """The others."""
        return [each for each in self.actors if each.role == "follower"]

    def actor(self, name: str) -> Actor:
        """:raises StageError: there is no such node."""
        for each in self.actors:
            if each.name == name:
                return each
        raise StageError(f"there is no node {name!r}")

    def client(self, timeout_s: float = 5.0) -> Client:
        """A client of all nodes."""
        return Client(
            [each.node.url for each in self.actors], token=self.token, timeout_s=timeout_s
        )

    @property
    def token(self) -> str | None:
        """The cluster's secret."""
        return None

    @abstractmethod
    def faults(self, actor: Actor) -> set[str]:
        """What is the matter with a node now, whoever did it: frozen, stopped, cut off."""

    @abstractmethod
    def do(self, what: str, name: str) -> str:
        """Do something to a node.

        :return: the command that does the same.
        :raises StageError: it cannot be done now.
        """

    @abstractmethod
    def close(self) -> None:
        """Let go of everything."""

    @abstractmethod
    def calm(self) -> None:
        """Undo all faults, set W and delays as they were, and wait until all is well."""

    def set_quorum(self, size: int) -> str:
        """Set W."""
        with self.client() as client:
            client.set_quorum(size)
        return f"kvstore --url {self.leader.node.url} quorum {size}"

    def set_delay(self, low_ms: float, high_ms: float, name: str | None = None) -> str:
        """Set the simulated delay, to all followers or to one."""
        address = self.actor(name).address if name else None
        with self.client() as client:
            client.set_delay(low_ms, high_ms, address)
        only = f" --follower {address}" if address else ""
        return f"kvstore --url {self.leader.node.url} delay {low_ms:g} {high_ms:g}{only}"


class LocalStage(Stage):
    """Nodes of its own, which end with it, and whose data are removed then."""

    owns_processes = True

    def __init__(self) -> None:
        self._folder = TemporaryDirectory(prefix="kvstore-play-")
        self._runs = 0
        self._open()

    def _open(self) -> None:
        self._runs += 1
        own = Path(self._folder.name) / f"cluster{self._runs}"
        self._cluster = LocalCluster(FOLLOWERS, own / "logs", SETTINGS, own / "data", proxied=True)
        cluster = self._cluster
        cluster.start()
        self.actors = [
            Actor("leader", cluster.leader, "leader", None),
            *(
                Actor(node.name, node, "follower", cluster.address(node))
                for node in cluster.followers
            ),
        ]

    def close(self) -> None:
        self._stop()
        self._folder.cleanup()

    def reset(self) -> None:
        """Begin anew, with empty nodes."""
        self._stop()
        self._open()

    def _stop(self) -> None:
        for each in self.actors:
            if self._node(each).is_frozen:
                self._node(each).thaw()
        self._cluster.stop()

    @staticmethod
    def _node(actor: Actor) -> Node:
        assert isinstance(actor.node, Node), "the stage has started it"
        return actor.node

    def faults(self, actor: Actor) -> set[str]:
        node = self._node(actor)
        seen = {
            "frozen": node.is_frozen,
            "stopped": not node.is_running,
            "cut off": actor.is_cut_off,
        }
        return {fault for fault, is_so in seen.items() if is_so}

    def do(self, what: str, name: str) -> str:
        deeds: dict[str, Callable[[Actor], str]] = {
            "freeze": self._freeze,
            "thaw": self._thaw,
            "kill": self._kill,
            "start": self._start,
            "cut": self._cut,
            "heal": self._heal,
            "empty": self._empty,
            "restart": self._restart,
            "replace": self._replace,
        }
        if what not in deeds:
            raise StageError(f"nobody knows how to {what!r} a node")
        return deeds[what](self.actor(name))

    def _freeze(self, actor: Actor) -> str:
        self._must_not(actor, "stopped", "frozen")
        self._node(actor).freeze()
        return f"kill -STOP -- -{self._node(actor).pid}"

    def _thaw(self, actor: Actor) -> str:
        self._must(actor, "frozen")
        self._node(actor).thaw()
        return f"kill -CONT -- -{self._node(actor).pid}"

    def _kill(self, actor: Actor) -> str:
        self._must_not(actor, "stopped")
        self._node(actor).crash()
        return _kill_command(self._node(actor))

    def _start(self, actor: Actor) -> str:
        self._must(actor, "stopped")
        self._node(actor).start()
        return self._command(actor)

    def _restart(self, actor: Actor) -> str:
        node = self._node(actor)
        kill = _kill_command(node)
        node.restart()
        return f"{kill}; {self._command(actor)}"

    def _empty(self, actor: Actor) -> str:
        node = self._node(actor)
        node.empty()
        return f"{_kill_command(node)}; rm -r {node.directory}"

    def _cut(self, actor: Actor) -> str:
        self._must_not(actor, "cut off")
        actor.is_cut_off = True
        self._set_links()
        return f"# the network between {self._ends(actor)} loses everything"

    def _heal(self, actor: Actor) -> str:
        self._must(actor, "cut off")
        actor.is_cut_off = False
        self._set_links()
        return f"# the network between {self._ends(actor)} works again"

    def _set_links(self) -> None:
        """Cut what has an end that is cut off, and nothing else."""
        for leader in self.leaders:
            for follower in self.followers:
                link = self._cluster.link(self._node(follower), self._node(leader))
                if leader.is_cut_off or follower.is_cut_off:
                    link.cut()
                else:
                    link.heal()

    @staticmethod
    def _ends(actor: Actor) -> str:
        others = "every leader" if actor.role == "follower" else "every follower"
        return f"{actor.name} and {others}"

    def _replace(self, actor: Actor) -> str:
        """Start another leader of the same followers; the first one may still run."""
        if actor is not self.leader:
            raise StageError("only the leader can be replaced")
        node = self._cluster.add_leader(f"leader{len(self.leaders) + 1}", linked=True)
        actor.role = "former leader"
        self.actors.insert(0, Actor(node.name, node, "leader", None))
        self._set_links()
        for each in self.followers:
            each.address = self._cluster.address(self._node(each), node)
        node.start()
        return self._command(self.leader)

    def _command(self, actor: Actor) -> str:
        node = self._node(actor)
        settings = " ".join(f"{name}={value}" for name, value in sorted(node.settings.items()))
        return f"ROLE={node.role} PORT={node.port} {settings} gunicorn wsgi:app"

    def _must(self, actor: Actor, fault: str) -> None:
        if fault not in self.faults(actor):
            raise StageError(f"{actor.name} is not {fault}")

    def _must_not(self, actor: Actor, *faults: str) -> None:
        for fault in faults:
            if fault in self.faults(actor):
                raise StageError(f"{actor.name} is {fault}")

    def calm(self) -> None:
        if self.leader.name != "leader":
            self.reset()  # the former leader would have to become a follower
        for actor in self.actors:
            for fault, cure in (("cut off", "heal"), ("frozen", "thaw"), ("stopped", "start")):
                if fault in self.faults(actor):
                    self.do(cure, actor.name)
        wait_for(self._why_not_set)
        wait_for(self._why_not_calm)

    def _why_not_set(self) -> str | None:
        self.set_quorum(WRITE_QUORUM)
        self.set_delay(*DELAY_MS)
        return None

    def _why_not_calm(self) -> str | None:
        """Why not every follower keeps up; None when each does."""
        status = self.leader.node.status()
        if status.state != "leading":
            return f"the leader is {status.state}"
        for each in status.followers:
            # Clients may be writing: something is always on its way.
            if each.state != "streaming" or each.lag_s > _KEEPS_UP_S:
                return f"{each.address} has not caught up"
        return None


class AttachedStage(Stage):
    """A cluster that runs elsewhere.

    :param leader_url: of its leader.
    :raises StageError: there is no leader.
    """

    owns_processes = False

    def __init__(self, leader_url: str, token: str | None) -> None:
        self._token = token
        with Client(leader_url, token=token) as client:
            try:
                status = client.status()
                leader = client.leader()
            except ClientError as error:
                raise StageError(str(error)) from error
            self._found = status
            nodes: Sequence[NodeClient] = [
                client.node(f"http://{each.address}") for each in status.followers
            ]
        self.actors = [
            Actor("leader", leader, "leader", None),
            *(
                Actor(each.address, node, "follower", each.address)
                for each, node in zip(status.followers, nodes, strict=True)
            ),
        ]

    @property
    def token(self) -> str | None:
        return self._token

    def faults(self, actor: Actor) -> set[str]:  # noqa: ARG002
        return set()  # nobody here can know more than that a node does not answer

    def do(self, what: str, name: str) -> str:
        raise StageError(f"nobody can {what} {name} from here: these nodes run elsewhere")

    def close(self) -> None:
        pass

    def calm(self) -> None:
        with self.client() as client:
            client.set_quorum(self._found.write_quorum or 0)
            for each in self._found.followers:
                client.set_delay(each.delay.min_ms, each.delay.max_ms, each.address)


def _kill_command(node: Node) -> str:
    return f"kill -9 -- -{node.pid}"


def wait_for(why_not: Callable[[], str | None], timeout_s: float = _PATIENCE_S) -> float:
    """Wait until something holds.

    :return: how long it took, in seconds.
    :raises StageError: it did not, in time; with the last reason.
    """
    begin_s = time.monotonic()
    try:
        wait_until(why_not, timeout_s)
    except TimeoutError as error:
        raise StageError(str(error)) from error
    return time.monotonic() - begin_s
