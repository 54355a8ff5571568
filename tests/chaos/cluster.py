"""The nodes of a campaign: a cluster, and the watch over it."""

import threading
from pathlib import Path
from typing import Self

from analysis.nodes.node import Node
from kvstore.client.errors import NodeUnavailableError
from tests.chaos.history import Campaign
from tests.chaos.losses import Losses
from tests.chaos.recorder import Recorder
from tests.support.cluster import Cluster

_LOOK_INTERVAL_S = 0.1
_ASK_TIMEOUT_S = 2.0
_CONFIRMATION_TIMEOUT_S = 1.0


class ChaosCluster(Cluster):
    """One leader and its followers with data directories, and a proxy before each follower.

    Entering starts the nodes and watches them, leaving kills them all. A node that dies by itself
    is a problem for the record, and ends the campaign.

    :param campaign: says how many nodes, and with which settings.
    :param directory: for data and logs.
    """

    def __init__(self, campaign: Campaign, directory: Path) -> None:
        super().__init__(
            campaign.followers,
            directory,
            proxied=True,
            durable=True,
            WRITE_QUORUM=campaign.write_quorum,
            **campaign.node_settings,
        )
        self.campaign = campaign
        self.recorder = Recorder(campaign)
        self.stopped = threading.Event()
        """Set when the campaign is to end: no client begins an operation, and no fault lasts."""
        self.named = {node.name: node for node in self.nodes}
        self.reserved = {node: threading.Lock() for node in self.nodes}
        """Held by whoever kills, freezes or starts a node."""
        self.losses = Losses(campaign.write_quorum, campaign.followers)
        self._left = threading.Event()
        self._watching = threading.Thread(target=self._watch, daemon=True)

    def crash(self, nodes: list[Node], *, on_confirmation: bool = False) -> None:
        """Kill nodes, all at the same moment, and wait until nothing of them is left.

        :param on_confirmation: wait for the moment at which a client's write is confirmed.
        """
        running = [node for node in nodes if node.is_running]
        if on_confirmation:
            self.recorder.wait_for_confirmation(_CONFIRMATION_TIMEOUT_S)
        for node in running:
            node.kill()
            self.recorder.killed(node.name)
        for node in running:
            node.crash()

    def end_all_faults(self) -> None:
        """Heal links, thaw frozen nodes, and start dead ones."""
        self.heal(*self.followers)
        for node, lock in self.reserved.items():
            with lock:
                if node.is_running:
                    node.thaw()
                else:
                    node.launch()
                node.wait_until_serving()

    def __enter__(self) -> Self:
        super().__enter__()
        self._watching.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._left.set()
        try:
            self._watching.join()
        finally:
            self.stop()

    def _watch(self) -> None:
        while not self._left.wait(_LOOK_INTERVAL_S):
            self._look_for_the_dead()
            self._look_for_restored_copies()

    def _look_for_the_dead(self) -> None:
        for node, lock in self.reserved.items():
            if lock.acquire(blocking=False):
                try:
                    if not node.is_running and not self.stopped.is_set():
                        self.recorder.problem(f"{node.name} died by itself:\n{node.log_tail()}")
                        self.stopped.set()
                finally:
                    lock.release()

    def _look_for_restored_copies(self) -> None:
        waiting = self.losses.waiting()
        if not waiting:
            return
        try:
            leader, followers = self.leader.status(_ASK_TIMEOUT_S), {}
            for node in self.followers:
                if node.name in waiting:
                    status = node.status(_ASK_TIMEOUT_S)
                    followers[node.name] = self.address(node), status.node, status.applied_index
        except NodeUnavailableError:
            return  # a node that does not answer now is asked again
        self.losses.look(waiting, leader, followers)
