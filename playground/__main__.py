"""``python -m playground``: serve the page, with nodes of its own or of a cluster elsewhere."""

import argparse
import os
import sys

from playground.settings import DEFAULT_PORT, PlaySettings


def main() -> None:
    """Become gunicorn, which serves the page."""
    parser = argparse.ArgumentParser(prog="playground", description=__doc__)
    parser.add_argument("--leader", metavar="URL", help="attach to a cluster that runs elsewhere")
    parser.add_argument(
        "--port", metavar="PORT", help=f"of the page (default: PORT, or {DEFAULT_PORT})"
    )
    given = parser.parse_args()
    environment = dict(os.environ)
    if given.leader:
        environment["PLAY_LEADER"] = given.leader
    if given.port:
        environment["PORT"] = given.port
    try:
        PlaySettings.of(environment)
    except ValueError as error:
        parser.error(str(error))
    words = ["-m", "gunicorn", "--config", "python:playground.gunicorn_conf", "playground.wsgi:app"]
    os.execve(sys.executable, [sys.executable, *words], environment)  # noqa: S606


if __name__ == "__main__":
    main()
