"""How gunicorn runs a node: one arbiter, exactly one gevent worker that holds the state."""

import gc
import logging
import os
import resource
import signal
import sys
from typing import Any

from kvstore.app_log import log_start, use_handlers
from kvstore.config import load_settings
from kvstore.core.errors import SettingsError

try:
    _settings = load_settings(os.environ)
except SettingsError as _error:
    sys.exit("kvstore: invalid settings:\n" + "\n".join(f"  {p}" for p in _error.problems))

_MAX_CONNECTIONS = 16_000
_OWN_DESCRIPTORS = 256  # senders, files, pipes

_, _limit = resource.getrlimit(resource.RLIMIT_NOFILE)
resource.setrlimit(resource.RLIMIT_NOFILE, (_limit, _limit))

_host = f"[{_settings.host}]" if ":" in _settings.host else _settings.host
bind = f"{_host}:{_settings.port}"
worker_class = "kvstore.http.worker.NodeWorker"
worker_connections = min(_MAX_CONNECTIONS, max(_limit - _OWN_DESCRIPTORS, 1))
backlog = 16_384
keepalive = 60
limit_request_line = 8190
# The strict one, even where a faster one is installed, so that all nodes refuse the same requests.
http_parser = "python"
control_socket_disable = True
# No proxy is trusted: its headers could change the requested path.
forwarded_allow_ips = ""
# A worker that was frozen and thawed must not be killed: the state lives in it.
timeout = 0
# Requests in flight take up to REPL_TIMEOUT, and draining the senders as long again.
graceful_timeout = int(2 * _settings.repl_timeout_s + 5)


def on_starting(server: Any) -> None:
    """Refuse settings of gunicorn that would give the node two states, or none."""
    wrong = []
    if server.cfg.workers != 1:
        wrong.append(f"{server.cfg.workers} workers: a node has exactly 1, which holds its state")
    if server.cfg.worker_class_str != worker_class:
        wrong.append(f"worker class {server.cfg.worker_class_str}: it must be {worker_class}")
    if server.cfg.preload_app:
        wrong.append("preload: the node must start in its worker")
    if server.cfg.reload:
        wrong.append("reload: a new worker starts without the old one's state")
    if wrong:
        server.log.error("gunicorn's settings do not fit a node:\n  %s", "\n  ".join(wrong))
        sys.exit(1)
    if worker_connections < 12_000:
        server.log.warning("only %d connections: the descriptor limit is low", worker_connections)


def when_ready(_server: Any) -> None:
    """Ignore the signals that would start a second worker beside the first."""
    for number in (signal.SIGHUP, signal.SIGTTIN, signal.SIGTTOU, signal.SIGUSR2, signal.SIGWINCH):
        signal.signal(number, signal.SIG_IGN)


def post_worker_init(worker: Any) -> None:
    """Start the node: its greenlets live in the worker, after monkey-patching."""
    use_handlers(logging.getLogger("gunicorn.error").handlers)
    log_start(_settings)
    worker.wsgi.extensions["kvstore"].start()
    _collect_seldom()


def _collect_seldom() -> None:
    """Look for cyclic garbage seldom.

    By default Python looks whenever there are 700 more objects, each time at all that a thousand
    waiting requests hold. What a node has loaded stays, and of what comes later hardly anything but
    Werkzeug's router makes cycles, eight objects for each request. Waiting for 100,000 of them
    stopped everything for 30 to 60 ms.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(50_000, 40, 100)


def worker_exit(_server: Any, worker: Any) -> None:
    """Drain the senders and close the storage."""
    app = getattr(worker, "wsgi", None)
    if app is not None:
        app.extensions["kvstore"].stop()
    # What is frozen would be freed too late, when the modules that it needs are gone.
    gc.unfreeze()
