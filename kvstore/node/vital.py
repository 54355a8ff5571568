"""Greenlets that a node cannot do without: when one fails, the whole node ends."""

import logging
import os
from collections.abc import Callable

import gevent
from gevent import Greenlet

from kvstore.core.errors import StorageError

logger = logging.getLogger("kvstore")

NODE_FAILED = 3
"""Exit code with which gunicorn's arbiter stops too, instead of starting another worker."""


def end_node(reason: object) -> None:
    """End this node, arbiter included: its state can no longer be trusted.

    A worker that ended alone would be replaced at once, and nobody would notice.
    """
    logger.critical("this node ends: %s", reason)
    os._exit(NODE_FAILED)


def spawn_vital(function: Callable[[], None]) -> "Greenlet[[], None]":
    """Start a greenlet without which the node cannot work: its failure ends the node."""

    def run() -> None:
        try:
            function()
        except StorageError as error:
            end_node(f"its data directory failed: {error}")

    greenlet = gevent.spawn(run)
    greenlet.link_exception(lambda failed: end_node(failed.exception))
    return greenlet
