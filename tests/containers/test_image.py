"""What the image holds, and how the engine runs it."""

from tests.containers.compose import NODES, ComposeProject

BUILD_TOOLS = (
    "cc c99 gcc g++ clang cpp ld as make cmake cargo rustc go git pip pip3 uv easy_install"
)


def test_all_roles_run_one_image(cluster: ComposeProject) -> None:
    images = {cluster.inspect(node)["Image"] for node in NODES}
    assert len(images) == 1


def test_node_runs_as_an_unprivileged_user(cluster: ComposeProject) -> None:
    assert cluster.shell("leader", "id -u; id -g").split() == ["10001", "10001"]
    # Of the node's own processes too, not only of a shell beside them.
    users = cluster.shell("leader", "stat -c %u /proc/[0-9]*/cmdline").split()
    assert set(users) == {"10001"}


def test_node_cannot_change_its_own_code(cluster: ComposeProject) -> None:
    assert cluster.shell("leader", "test -w /app/wsgi.py || echo read-only").strip() == "read-only"
    assert cluster.inspect("leader")["HostConfig"]["ReadonlyRootfs"] is True


def test_image_holds_no_build_tools(cluster: ComposeProject) -> None:
    found = cluster.shell("leader", f"for tool in {BUILD_TOOLS}; do command -v $tool || true; done")
    assert found == ""
    installers = cluster.shell(
        "leader",
        "for python in python /usr/bin/python3 /usr/local/bin/python3; do"
        " if command -v $python >/dev/null; then"
        " $python -c 'import importlib.util as u;"
        ' print(*[m for m in ("pip", "ensurepip") if u.find_spec(m)])\';'
        " fi; done",
    )
    assert installers.split() == []


def test_stop_signal_and_health_check(cluster: ComposeProject) -> None:
    for node in NODES:
        found = cluster.inspect(node)
        assert found["Config"]["StopSignal"] == "SIGTERM"
        assert "/readyz" in " ".join(found["Config"]["Healthcheck"]["Test"])
        assert found["State"]["Health"]["Status"] == "healthy"


def test_ports_are_published_on_loopback_only(cluster: ComposeProject) -> None:
    for node in NODES:
        published = cluster.inspect(node)["NetworkSettings"]["Ports"]
        assert published == {
            "5000/tcp": [{"HostIp": "127.0.0.1", "HostPort": str(cluster.ports[node])}]
        }


def test_node_may_hold_12_000_connections(cluster: ComposeProject) -> None:
    limits = cluster.shell("leader", "ulimit -n; cat /proc/sys/net/core/somaxconn").split()
    assert all(int(limit) > 12_000 for limit in limits)
