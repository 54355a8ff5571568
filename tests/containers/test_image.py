"""What the image holds, and how the engine runs it."""

from tests.containers.compose import NODES, ComposeProject

BUILD_TOOLS = (
    "cc c99 gcc g++ clang cpp ld as make cmake cargo rustc go git pip pip3 uv easy_install"
)
INSTALLERS_OF_PYTHON = """
for python in python /usr/bin/python3 /usr/local/bin/python3; do
    command -v $python >/dev/null && $python -c '
from importlib.util import find_spec
print(*filter(find_spec, ("pip", "ensurepip")))'
done; true
"""


def test_how_the_engine_runs_the_nodes(cluster: ComposeProject) -> None:
    """One image for all roles, with a health check, on loopback only."""
    found = {node: cluster.inspect(node) for node in NODES}
    assert len({container["Image"] for container in found.values()}) == 1
    for node, container in found.items():
        config = container["Config"]
        assert config["StopSignal"] == "SIGTERM"
        assert "/readyz" in " ".join(config["Healthcheck"]["Test"])
        assert container["State"]["Health"]["Status"] == "healthy"
        assert container["HostConfig"]["ReadonlyRootfs"] is True
        assert container["NetworkSettings"]["Ports"] == {
            "5000/tcp": [{"HostIp": "127.0.0.1", "HostPort": str(cluster.ports[node])}]
        }


def test_node_runs_as_an_unprivileged_user(cluster: ComposeProject) -> None:
    assert cluster.shell("leader", "id -u; id -g").split() == ["10001", "10001"]
    # Of the node's own processes too, not only of a shell beside them.
    users = cluster.shell("leader", "stat -c %u /proc/[0-9]*/cmdline").split()
    assert set(users) == {"10001"}
    assert cluster.shell("leader", "test -w /app/wsgi.py || echo read-only").strip() == "read-only"


def test_image_holds_no_build_tools(cluster: ComposeProject) -> None:
    found = cluster.shell("leader", f"for tool in {BUILD_TOOLS}; do command -v $tool || true; done")
    assert found == ""
    assert cluster.shell("leader", INSTALLERS_OF_PYTHON).split() == []


def test_node_may_hold_12_000_connections(cluster: ComposeProject) -> None:
    limits = cluster.shell("leader", "ulimit -n; cat /proc/sys/net/core/somaxconn").split()
    assert all(int(limit) > 12_000 for limit in limits)
