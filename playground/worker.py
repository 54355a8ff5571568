"""The gunicorn worker of the page: gevent's, which does not wait for streams that have no end."""

from types import FrameType
from typing import cast

from flask import Flask
from gunicorn.workers.ggevent import GeventWorker


class PlayWorker(GeventWorker):
    """The one worker process."""

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """SIGTERM: the streams end now; then the nodes are stopped."""
        super().handle_exit(sig, frame)
        app = cast("Flask", self.wsgi)
        app.extensions["page"].observer.end_streams()
