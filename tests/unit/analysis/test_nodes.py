"""Environment, ports and tokens of local nodes."""

import os
import socket
import struct
from pathlib import Path

import pytest

from analysis.nodes.awake import kept_awake
from analysis.nodes.cluster_token import token_headers
from analysis.nodes.free_ports import free_ports
from analysis.nodes.node import Node


def test_the_ports_are_distinct_and_can_be_listened_on() -> None:
    ports = free_ports(20)
    assert len(set(ports)) == 20
    for port in ports:
        with socket.create_server(("127.0.0.1", port)):
            pass


def test_an_outgoing_connection_never_gets_such_a_port() -> None:
    with socket.create_server(("127.0.0.1", 0)) as chosen_by_the_kernel:
        assert max(free_ports(200)) < 32_768 <= chosen_by_the_kernel.getsockname()[1]


def test_token_from_its_variable_or_its_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("CLUSTER_TOKEN", raising=False)
    monkeypatch.delenv("CLUSTER_TOKEN_FILE", raising=False)
    assert token_headers() == {}
    monkeypatch.setenv("CLUSTER_TOKEN", "secret")
    assert token_headers() == {"Authorization": "Bearer secret"}
    monkeypatch.delenv("CLUSTER_TOKEN")
    (tmp_path / "token").write_text("from-file\n", "ascii")
    monkeypatch.setenv("CLUSTER_TOKEN_FILE", str(tmp_path / "token"))
    assert token_headers() == {"Authorization": "Bearer from-file"}


def test_the_environment_of_a_node_holds_nothing_of_the_shell_but_what_programs_need(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    needed = {"PATH": "/bin", "PYTHONPATH": "/packages", "COVERAGE_PROCESS_START": "pyproject.toml"}
    stray = {"ROLE": "leader", "DATA_DIR": "/data", "GUNICORN_CMD_ARGS": "-w 3", "NEW_SETTING": "1"}
    monkeypatch.setattr("os.environ", needed | stray)
    settings = {"FOLLOWERS": "127.0.0.1:5001"}
    node = Node("n", "follower", 5000, settings, Path("n.log"))
    own = {"ROLE": "follower", "HOST": "127.0.0.1", "PORT": "5000"}
    assert node.environment == needed | own | settings


_LATENCY_LIMIT = Path("/dev/cpu_dma_latency")


@pytest.mark.skipif(
    not os.access(_LATENCY_LIMIT, os.W_OK), reason="not permitted to keep processors awake"
)
def test_processors_are_kept_awake_only_as_long_as_asked() -> None:
    def limit_us() -> int:
        with _LATENCY_LIMIT.open("rb", buffering=0) as file:
            (limit,) = struct.unpack("@i", file.read(4))
            return int(limit)

    before = limit_us()
    with kept_awake() as awake:
        assert awake
        assert limit_us() == 0
    assert limit_us() == before != 0


def test_where_it_is_not_permitted_processors_may_sleep(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("analysis.nodes.awake._LATENCY_LIMIT", tmp_path)
    with kept_awake() as awake:
        assert not awake
