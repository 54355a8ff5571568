"""A cluster in containers, driven through ``docker compose`` beside whatever else runs there."""

import json
import os
import subprocess
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from analysis.nodes.free_ports import free_ports
from analysis.nodes.waiting import wait_until
from kvstore.api_types import Store
from kvstore.client.convergence import check_copies
from kvstore.client.node_client import NodeClient

REPOSITORY = Path(__file__).resolve().parents[2]
FOLLOWERS = tuple(f"follower{number}" for number in range(1, 6))
NODES = ("leader", *FOLLOWERS)
LOAD = "load"
PLAY = "play"

_COMMAND_TIMEOUT_S = 600.0
_CATCH_UP_TIMEOUT_S = 60.0
_ANSWER_TIMEOUT_S = 30.0
_PASSED_ON = ("PATH", "HOME", "TMPDIR", "DOCKER_", "BUILDKIT_", "XDG_", "HTTP_PROXY", "HTTPS_PROXY")
"""Beginnings of variables that the engine's programs get: none that the compose file passes on."""


@dataclass(frozen=True)
class ComposeProject:
    """The services of ``docker-compose.yml`` under one project name.

    :param name: the project's name; also the first part of its images' names.
    :param ports: on 127.0.0.1, of each node, the load's page, and the live page.
    :param directory: where the compose file lies; its relative paths start here.
    """

    name: str
    ports: dict[str, int]
    directory: Path = REPOSITORY

    @classmethod
    def with_free_ports(cls) -> "ComposeProject":
        """A project that can run beside any other."""
        services = (*NODES, LOAD, PLAY)
        ports = free_ports(len(services))
        return cls(f"kvstore-test-{ports[0]}", dict(zip(services, ports, strict=True)))

    def compose(self, *arguments: str) -> str:
        """Run ``docker compose`` with these arguments.

        :return: what it printed on standard output.
        :raises AssertionError: when it fails, with everything it printed.
        """
        # No .env file: a developer's own settings are not the test's.
        command = ["docker", "compose", "--env-file", os.devnull, "--project-name", self.name]
        ports = {f"{node.upper()}_PORT": str(port) for node, port in self.ports.items()}
        return _run([*command, *arguments], self.directory, ports)

    def inspect(self, service: str) -> dict[str, Any]:
        """What the engine knows about a service's container, running or not."""
        container = self.compose("ps", "--all", "--quiet", service).strip()
        found: dict[str, Any] = json.loads(_run(["docker", "inspect", container]))[0]
        return found

    def shell(self, service: str, script: str) -> str:
        """Run a shell script in a service's container, as the user the node runs as."""
        return self.compose("exec", "--no-TTY", service, "sh", "-c", script)

    def start_all(self) -> None:
        """Build the image, start all nodes, wait until they are healthy."""
        self.compose("up", "--build", "--detach", "--wait", "--wait-timeout", "240")

    def crash(self, *nodes: str) -> None:
        """Kill containers with SIGKILL."""
        self.compose("kill", *nodes)

    def restart(self, *nodes: str) -> None:
        """Start containers that were killed or stopped, and wait until they are healthy.

        :raises AssertionError: when one is not in time, with the last reason.
        """
        self.compose("start", *nodes)
        for node in nodes:
            wait_until(partial(self._why_not_healthy, node), _CATCH_UP_TIMEOUT_S)

    def remove(self) -> None:
        """Remove containers, networks, volumes and images, whatever state they are in."""
        self.compose("--profile", "*", "down", "--volumes", "--remove-orphans", "--rmi", "all")

    def node(self, name: str) -> NodeClient:
        """A node through its published port."""
        return NodeClient(f"http://127.0.0.1:{self.ports[name]}", timeout_s=_ANSWER_TIMEOUT_S)

    def wait_for_replication(self) -> Store:
        """Wait until all copies are equal in keys, values, versions, index and epoch.

        :return: the copy they all hold.
        :raises AssertionError: when they still differ at the deadline, with the difference.
        """
        leader, *followers = map(self.node, NODES)
        checks = check_copies(leader, followers, _CATCH_UP_TIMEOUT_S)
        assert [check.problem for check in checks if not check.is_equal] == []
        return leader.copy()

    def _why_not_healthy(self, node: str) -> str | None:
        if not self.node(node).is_ready():
            return f"{node} is not ready"
        health = self.inspect(node)["State"]["Health"]["Status"]
        return None if health == "healthy" else f"{node} is {health} to the engine"


def why_no_engine() -> str | None:
    """Why ``docker compose`` cannot be driven here; ``None`` when it can."""
    try:
        _run(["docker", "compose", "version"])
        _run(["docker", "version", "--format", "{{.Server.Version}}"])
    except (OSError, AssertionError) as error:
        return f"no Docker engine: {' '.join(str(error).split())}"
    return None


def _run(
    command: list[str], directory: Path = REPOSITORY, environment: dict[str, str] | None = None
) -> str:
    passed_on = {k: v for k, v in os.environ.items() if k.upper().startswith(_PASSED_ON)}
    done = subprocess.run(
        command,
        cwd=directory,
        env=passed_on | (environment or {}),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=_COMMAND_TIMEOUT_S,
        check=False,
    )
    assert done.returncode == 0, f"{' '.join(command)}\n{done.stdout}\n{done.stderr.strip()}"
    return done.stdout
