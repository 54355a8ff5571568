"""How gunicorn serves the page: one process with one gevent worker, which owns the nodes.

The application is imported in the worker only, when gevent has patched the standard library.
"""

import os
from typing import Any

from playground.settings import PlaySettings

_settings = PlaySettings.of(os.environ)

bind = f"{_settings.host}:{_settings.port}"
worker_class = "playground.worker.PlayWorker"
workers = 1
timeout = 0
graceful_timeout = 60  # to stop all nodes
loglevel = "warning"
control_socket_disable = True


def post_worker_init(worker: Any) -> None:
    """Say where the page is, now that it is there."""
    worker.wsgi.extensions["page"].start()
    print(f"kvstore playground: http://127.0.0.1:{_settings.port}/ (Ctrl-C ends it)", flush=True)


def worker_exit(_server: Any, worker: Any) -> None:
    """Stop all nodes, and remove their data."""
    app = getattr(worker, "wsgi", None)
    if app is not None:
        app.extensions["page"].stage.close()
