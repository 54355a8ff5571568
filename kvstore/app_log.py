"""The node's log: gunicorn's handlers, and the messages at startup."""

import logging

from kvstore.config import Settings

logger = logging.getLogger("kvstore")


def use_handlers(handlers: list[logging.Handler]) -> None:
    """Write the node's log where gunicorn writes its own."""
    logger.handlers = handlers
    logger.setLevel(logging.INFO)
    logger.propagate = False


def log_start(settings: Settings) -> None:
    """One line about the node, and a warning where its routes for nodes and operators are open."""
    logger.info(
        "%s at %s, W=%s, delay %g-%g ms, timeout %g s, %s",
        settings.role,
        settings.advertise_url,
        settings.write_quorum if settings.role == "leader" else "-",
        settings.min_delay_ms,
        settings.max_delay_ms,
        settings.repl_timeout_s,
        settings.data_dir or "memory only",
    )
    if settings.cluster_token is None:
        logger.warning(
            "no cluster token: /replicate and /admin serve every caller with a loopback or private "
            "address; set CLUSTER_TOKEN or CLUSTER_TOKEN_FILE, the same on every node"
        )
