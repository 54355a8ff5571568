"""Bad replication messages, as changes to one that a follower would take."""

import json
from typing import Any

from analysis.nodes.node import Node
from tests.support.bad_requests import request

MAX_INDEX = 2**63 - 1

# What depends on the follower: its reign's epoch, id and whole name, its next index, one beyond.
ENTRY = {
    "index": "NEXT",
    "epoch": "EPOCH",
    "reign": "REIGN",
    "operation": "put",
    "key": "known",
    "value": 2,
}
NOOP = {"index": "NEXT", "epoch": "EPOCH", "reign": "REIGN", "operation": "noop"}
CHUNK = {
    "snapshot": "s",
    "index": "NEXT",
    "index_epoch": "EPOCH",
    "index_reign": "REIGN",
    "lineage": [["WHOLE REIGN", 1]],
    "offset": 0,
    "items": [],
    "requests": [],
    "done": True,
}
GOOD_MESSAGES: dict[str, tuple[str, dict[str, Any]]] = {
    "hello": ("/hello", {}),
    "claim of the reign in force": ("/claim", {}),
    "fetch": ("/fetch", {"offset": 0}),
    "heartbeat": ("", {}),
    "entry": ("", {"entries": [ENTRY]}),
    "entry that names followers": ("", {"entries": [{**NOOP, "members": {"a:1": "node"}}]}),
    "snapshot": ("/snapshot", CHUNK),
}
# No messages of their kind, for whoever reads them.
BAD_MESSAGES: dict[str, tuple[str, dict[str, Any]]] = {
    "entry without a key": ("", {"entries": [{**ENTRY, "key": None}]}),
    "negative index": ("", {"entries": [{**ENTRY, "index": -1}]}),
    "huge index": ("", {"entries": [{**ENTRY, "index": MAX_INDEX + 1}]}),
    "index of 400 digits": ("", {"entries": [{**ENTRY, "index": 10**400}]}),
    "entry that begins a number": ("", {"entries": [{**NOOP, "begins": 1}]}),
    "entry that names a list": ("", {"entries": [{**NOOP, "members": []}]}),
    "negative prev_index": ("", {"prev_index": -1}),
    "negative last_index": ("", {"last_index": -1}),
    "negative commit_index": ("", {"commit_index": -1}),
    "cluster that is a number": ("", {"cluster": 1}),
    "negative epoch": ("/claim", {"epoch": -1}),
    "huge epoch": ("/claim", {"epoch": MAX_INDEX + 1}),
    "negative restart": ("/claim", {"restart": -1}),
    "claim by a number": ("/claim", {"leader": 1, "epoch": "BEYOND"}),
    "claim for nobody": ("/claim", {"node": None}),
    "claim that found a number": ("/claim", {"found_reign": 1}),
    "claim that names numbers": ("/claim", {"members": {"a:1": 1}}),
    "hello from a list": ("/hello", {"leader": []}),
    "negative offset": ("/fetch", {"offset": -1}),
    "offset that is a word": ("/fetch", {"offset": "0"}),
    "snapshot without its index": ("/snapshot", {**CHUNK, "index": None}),
    "snapshot at a negative index": ("/snapshot", {**CHUNK, "index": -1}),
    "snapshot with a broken lineage": ("/snapshot", {**CHUNK, "lineage": [["REIGN", 1]]}),
    "snapshot with broken items": ("/snapshot", {**CHUNK, "items": [["known"]]}),
    "snapshot with a negative version": ("/snapshot", {**CHUNK, "items": [["known", -1, 2]]}),
    "snapshot with items that are none": ("/snapshot", {**CHUNK, "items": "known"}),
    "snapshot that is done maybe": ("/snapshot", {**CHUNK, "done": "yes"}),
}
# What the rules of a follower refuse; a leader answers that it takes no messages.
CONTRADICTIONS: dict[str, tuple[str, dict[str, Any]]] = {
    "gap before the entries": (
        "",
        {"entries": [{**ENTRY, "index": "BEYOND"}], "last_index": "BEYOND"},
    ),
    "noop with a value": ("", {"entries": [{**ENTRY, "operation": "noop"}]}),
    "put that begins a reign": ("", {"entries": [{**ENTRY, "begins": "WHOLE REIGN"}]}),
    "hash without an idempotency key": ("", {"entries": [{**ENTRY, "fingerprint": "f"}]}),
    "snapshot with a later version": ("/snapshot", {**CHUNK, "items": [["known", "BEYOND", 2]]}),
    "snapshot with a later request": ("/snapshot", {**CHUNK, "requests": [["k", "BEYOND", "f"]]}),
    "claim of no reign": ("/claim", {"reign": "other", "epoch": 0}),
}
REFUSED_MESSAGES: dict[str, tuple[str, dict[str, Any]]] = {
    "another cluster": ("", {"cluster": "other"}),
    "hello of another cluster": ("/hello", {"cluster": "other"}),
    "no cluster": ("", {"cluster": None}),
    "another reign of this epoch": ("", {"reign": "other"}),
    "epoch of the past": ("", {"epoch": 0}),
    "epoch without a claim": ("", {"epoch": "BEYOND"}),
    "position that is not held": ("", {"prev_index": "BEYOND", "last_index": "BEYOND"}),
    "restart without a claim": ("", {"restart": 10}),
    "position of another epoch": ("", {"prev_epoch": 0}),
    "position of another reign": ("", {"prev_reign": "other"}),
    "claim of another cluster": ("/claim", {"cluster": "other", "epoch": "BEYOND"}),
    "claim of an equal epoch": ("/claim", {"reign": "other"}),
    "claim of another takeover": ("/claim", {"reign": "other", "takeover": "o", "restart": 10}),
    "claim for another node": ("/claim", {"reign": "other", "restart": 10, "node": "other"}),
    "claim that found another reign": (
        "/claim",
        {"reign": "other", "restart": 10, "found_reign": "old"},
    ),
    "claim that found no reign": (
        "/claim",
        {"reign": "other", "epoch": "BEYOND", "found_reign": None},
    ),
    "claim of an absurd epoch": ("/claim", {"reign": "other", "epoch": MAX_INDEX}),
    "snapshot of another reign": ("/snapshot", {**CHUNK, "reign": "other"}),
    "snapshot without its first chunk": ("/snapshot", {**CHUNK, "offset": 5}),
    "fetch of another reign": ("/fetch", {"offset": 0, "reign": "other"}),
}
NO_MESSAGES = {
    "nothing": b"",
    "no JSON": b"replicate",
    "list": b"[]",
    "missing fields": b"{}",
    "invalid UTF-8": b'{"cluster": "\xff"}',
    "lone surrogate": b'{"cluster": "\\ud800"}',
    "a million levels": b'{"x":' + b"[" * 500_000,
    "number beyond a double": b'{"epoch": 1e400}',
}


def message(follower: Node, route: str, changes: dict[str, Any]) -> bytes:
    """A message that the follower would take, with changes."""
    hello = {"cluster": None, "epoch": 0, "reign": "", "leader": ""}
    held = follower.request("POST", "/replicate/hello", json=hello).json()
    whole_reign = [held["epoch"], held.get("restart", 0), held["reign"], held["takeover"]]
    names = {
        "EPOCH": held["epoch"],
        "REIGN": held["reign"],
        "WHOLE REIGN": whole_reign,
        "NEXT": held["last_index"] + 1,
        "BEYOND": held["last_index"] + 10,
    }
    document = {
        **{name: held[name] for name in ("cluster", "epoch", "reign", "takeover", "node")},
        "restart": held.get("restart", 0),
        "leader": "http://127.0.0.1:1",
        "found_reign": held["reign"],
        "members": {},
        "prev_index": held["last_index"],
        "prev_epoch": held["last_epoch"],
        "prev_reign": held["last_reign"],
        "entries": [],
        "last_index": held["last_index"] + 1,
        "commit_index": 0,
        **changes,
    }
    text = json.dumps(document)
    for name, value in names.items():
        text = text.replace(f'"{name}"', json.dumps(value))
    return request("POST", f"/replicate{route}", text.encode())
