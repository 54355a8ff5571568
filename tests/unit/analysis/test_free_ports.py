import socket

from analysis.nodes.free_ports import free_ports


def test_the_ports_are_distinct_and_can_be_listened_on() -> None:
    ports = free_ports(20)
    assert len(set(ports)) == 20
    for port in ports:
        with socket.create_server(("127.0.0.1", port)):
            pass


def test_an_outgoing_connection_never_gets_such_a_port() -> None:
    with socket.create_server(("127.0.0.1", 0)) as chosen_by_the_kernel:
        assert max(free_ports(200)) < 32_768 <= chosen_by_the_kernel.getsockname()[1]


def test_no_ports_are_no_ports() -> None:
    assert free_ports(0) == []
