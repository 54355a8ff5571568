"""``/openapi.json`` describes the API: every route, and every answer that a real node gives."""

import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from msgspec import StructMeta

from analysis.nodes.node import Node
from kvstore import api_types
from kvstore.app import create_app, create_node
from kvstore.config import load_settings
from kvstore.http.http_transport import PATHS
from kvstore.http.responses import STATUS
from tests.conftest import StartCluster
from tests.support.bad_requests import BAD_REQUESTS
from tests.support.cluster import Cluster

SHORT_WAITS = {"REPL_TIMEOUT": 0.1}
SEED = 1
MAX_EXAMPLES = 5
"""Random requests for each operation, beside those that are derived from the document."""

# What a request that fits the document may meet: 412 and 422 depend on what was written before, and
# what numbers may be in these messages and settings depends on each other and on the node.
CONFIG = """
[checks]
not_a_server_error.expected-statuses = ["2xx", "3xx", "4xx", "503", "504"]
positive_data_acceptance.expected-statuses = [
    "2xx", "3xx", "401", "403", "404", "409", "412", "422", "503", "504",
]
negative_data_rejection.expected-statuses = ["4xx"]

[[operations]]
include-path-regex = "^(/replicate|/admin/set_)"
checks.positive_data_acceptance.enabled = false
"""


@pytest.fixture(scope="module")
def pair(start_shared_cluster: StartCluster) -> Cluster:
    """A leader and a follower."""
    return start_shared_cluster(1, **SHORT_WAITS)


@pytest.fixture(scope="module")
def document(pair: Cluster) -> dict[str, Any]:
    documents = [node.request("GET", "/openapi.json").json() for node in pair.nodes]
    assert documents[0] == documents[1]
    found: dict[str, Any] = documents[0]
    return found


def test_every_route_is_described_and_no_other(document: dict[str, Any]) -> None:
    settings = load_settings({})
    routes = {(path, "POST") for path in PATHS.values()}
    for rule in create_app(settings, create_node(settings)).url_map.iter_rules():
        path = re.sub(r"<(?:[a-z]+:)?([a-z]+)>", r"{\1}", rule.rule)
        routes |= {(path, method) for method in rule.methods or ()}
    described = {
        (path, method.upper()) for path, methods in document["paths"].items() for method in methods
    }
    assert described == routes


def test_every_error_is_described(document: dict[str, Any]) -> None:
    described = {
        int(status)
        for methods in document["paths"].values()
        for operation in methods.values()
        for status in operation["responses"]
    }
    assert set(STATUS.values()) <= described


def test_every_body_is_described(document: dict[str, Any]) -> None:
    bodies = {kind.__name__ for kind in vars(api_types).values() if isinstance(kind, StructMeta)}
    assert bodies - {"Struct"} <= document["components"]["schemas"].keys()


def described_statuses(document: dict[str, Any], raw: bytes) -> set[int] | None:
    """The answers of the operation that a request is for; None when it is for none."""
    line = re.match(rb"([A-Z]+) (/[^ ?]*)", raw)
    if line is None:
        return None
    for path, operations in document["paths"].items():
        operation = operations.get(line[1].decode().lower())
        if operation and re.fullmatch(path.replace("{key}", ".+"), line[2].decode("latin-1")):
            return {int(status) for status in operation["responses"]}
    return None


def test_every_refusal_is_described(document: dict[str, Any]) -> None:
    described = {name: described_statuses(document, bad.raw) for name, bad in BAD_REQUESTS.items()}
    missing = {
        (name, status)
        for name, bad in BAD_REQUESTS.items()
        if (statuses := described[name]) is not None
        for status in {bad.leader, bad.follower or bad.leader} - statuses
    }
    assert missing == set()
    assert sum(statuses is not None for statuses in described.values()) >= 50


def test_every_reference_leads_somewhere(document: dict[str, Any]) -> None:
    references = set(re.findall(r'"\$ref": "#/([^"]*)"', json.dumps(document)))
    assert references
    for reference in references:
        part: Any = document
        for name in reference.split("/"):
            part = part[name]
    defined = {
        f"components/{kind}/{name}"
        for kind in ("schemas", "responses", "parameters")
        for name in document["components"][kind]
    }
    assert defined == references, "every component is used"


def assert_every_answer_is_described(node: Node, directory: Path) -> None:
    """Send what fits the document and what does not, and compare every answer with it."""
    config = directory / "schemathesis.toml"
    config.write_text(CONFIG, "utf-8")
    run = subprocess.run(
        [
            *(sys.executable, "-m", "schemathesis.cli", "--config-file", str(config)),
            *("run", f"{node.url}/openapi.json", "--phases", "examples,coverage,fuzzing"),
            *("--seed", str(SEED), "--max-examples", str(MAX_EXAMPLES), "--continue-on-failure"),
            *("--exclude-path", "/watch"),  # its answers have no end
            *("--warnings", "off", "--no-color"),
        ],
        cwd=directory,
        capture_output=True,
        text=True,
        check=False,
    )
    report = "\n".join(line[:500] for line in run.stdout.splitlines())
    assert run.returncode == 0, f"{report}\n{run.stderr}"
    # All but the one that serves the document, and GET and HEAD of the one that has no end.
    assert re.search(r"Selected: (31)/33\s+Tested: \1\b", report), report
    assert node.request("GET", "/livez").json() == {"live": True}


def test_a_leader_gives_no_other_answer(pair: Cluster, tmp_path: Path) -> None:
    pair.leader.put_confirmed("colour", "the key of the document's examples")
    assert_every_answer_is_described(pair.leader, tmp_path)
    pair.leader.set_quorum(1)
    pair.leader.put_confirmed("after", "all of it")
    pair.wait_for_replication()
    pair.assert_copies_equal()


def test_a_follower_gives_no_other_answer(start_cluster: StartCluster, tmp_path: Path) -> None:
    """Its leader may be deposed by this: what is sent is also made of what the answers held."""
    pair = start_cluster(1, **SHORT_WAITS)
    assert_every_answer_is_described(pair.followers[0], tmp_path)
