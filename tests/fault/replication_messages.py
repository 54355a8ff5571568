"""The messages of the replication protocol as JSON, made by hand."""

from typing import Any

from tests.support.harness import Node

Message = dict[str, Any]


def send(follower: Node, path: str, message: Message) -> tuple[int, Message]:
    """Send a message to a follower as its leader would.

    :param path: what comes after ``/replicate``, such as ``/claim``.
    :return: status and body of the answer.
    """
    answer = follower.request("POST", f"/replicate{path}", json=message)
    return answer.status_code, answer.json()


def position(follower: Node) -> Message:
    """What a follower says of itself when it is asked."""
    hello = {"cluster": None, "epoch": 0, "reign": "", "leader": "http://test"}
    status, answer = send(follower, "/hello", hello)
    assert status == 200
    return answer


def header(follower: Node) -> Message:
    """The fields that every message of the reign in force has."""
    held = position(follower)
    reign = {name: held[name] for name in ("cluster", "epoch", "reign", "takeover")}
    return {**reign, "restart": held.get("restart", 0), "leader": follower.status()["leader"]}


def reign_id(message: Message) -> list[Any]:
    """The reign of a message, as it stands in a lineage and in its first entry."""
    return [message[name] for name in ("epoch", "restart", "reign", "takeover")]


def append(follower: Node, *values: Any) -> Message:
    """A batch that continues what the follower holds; with no values, a heartbeat."""
    held = position(follower)
    entries = [
        {
            "index": held["last_index"] + offset,
            "epoch": held["epoch"],
            "reign": held["reign"],
            "operation": "put",
            "key": "forged",
            "value": value,
        }
        for offset, value in enumerate(values, start=1)
    ]
    return {
        **header(follower),
        "prev_index": held["last_index"],
        "prev_epoch": held["last_epoch"],
        "prev_reign": held["last_reign"],
        "entries": entries,
        "last_index": held["last_index"] + len(values),
        "commit_index": held["last_index"] + len(values),
    }


def snapshot(follower: Node) -> Message:
    """The only chunk of a snapshot far ahead of what the follower holds."""
    current = header(follower)
    index = position(follower)["last_index"] + 1000
    return {
        **current,
        "snapshot": "forged",
        "index": index,
        "index_epoch": current["epoch"],
        "index_reign": current["reign"],
        "lineage": [[reign_id(current), 1]],
        "members": {},
        "offset": 0,
        "items": [["forged", index, "forged"]],
        "requests": [],
        "done": True,
        "last_index": index,
    }


def claim(follower: Node) -> Message:
    """The claim of the next takeover."""
    current = header(follower)
    return {
        **current,
        "epoch": current["epoch"] + 1,
        "restart": 0,
        "reign": "forged",
        "takeover": "forged",
        "node": follower.status()["node"],
        "found_reign": current["reign"],
        "members": {},
    }


def fetch(follower: Node) -> Message:
    """The request for the follower's state."""
    return {**header(follower), "offset": 0}
