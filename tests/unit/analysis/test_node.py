from pathlib import Path

import pytest

from analysis.nodes.node import Node


def test_the_environment_of_a_node_holds_nothing_of_the_shell_but_what_programs_need(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    needed = {"PATH": "/bin", "HOME": "/root", "COVERAGE_PROCESS_START": "pyproject.toml"}
    stray = {"ROLE": "leader", "DATA_DIR": "/data", "GUNICORN_CMD_ARGS": "-w 3", "NEW_SETTING": "1"}
    monkeypatch.setattr("os.environ", needed | stray)
    settings = {"FOLLOWERS": "127.0.0.1:5001"}
    node = Node("n", "follower", 5000, settings, Path("n.log"))
    own = {"ROLE": "follower", "HOST": "127.0.0.1", "PORT": "5000"}
    assert node.environment == needed | own | settings
