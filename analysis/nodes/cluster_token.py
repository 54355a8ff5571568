"""The cluster's secret, if it has one, from the same settings that the nodes read."""

import os
from pathlib import Path


def token_headers() -> dict[str, str]:
    """What a request to a cluster with a token needs; nothing for one without.

    :raises OSError: when ``CLUSTER_TOKEN_FILE`` cannot be read.
    """
    token = os.environ.get("CLUSTER_TOKEN", "").strip()
    path = os.environ.get("CLUSTER_TOKEN_FILE", "").strip()
    if path:
        token = Path(path).read_text("ascii").strip()
    return {"Authorization": f"Bearer {token}"} if token else {}
