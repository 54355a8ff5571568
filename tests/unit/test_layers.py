"""The direction of imports: a module imports only from the layers below its own."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]

LAYERS = [
    {"errors", "entries", "lineage", "strict_json", "put_body", "messages"},
    {
        "replication_log",
        "key_value_map",
        "request_table",
        "quorum",
        "preconditions",
        "records",
        "staging",
        "discarded",
        "message_checks",
    },
    {"progress", "takeover", "reign", "leader_log", "leader", "follower"},
    {
        "precise_timer",
        "turn",
        "parser_process",
        "parentage",
        "parser_pool",
        "delay",
        "waiters",
        "storage",
        "sqlite_storage",
        "transport",
        "replicator",
        "node",
        "leader_node",
        "follower_node",
    },
    {
        "config",
        "app_log",
        "access",
        "request_parts",
        "responses",
        "store_copy",
        "http_transport",
        "client_api",
        "replication_api",
        "admin_api",
        "openapi",
    },
    {"app", "worker"},
]
CORE = LAYERS[0] | LAYERS[1] | LAYERS[2]
PURE = {
    "abc",
    "collections",
    "dataclasses",
    "enum",
    "functools",
    "hashlib",
    "itertools",
    "json",
    "kvstore",
    "msgspec",
    "sys",
    "typing",
    "urllib.parse",
    "zlib",
}
MODULES = sorted(path.stem for path in (ROOT / "kvstore").glob("*.py") if path.stem != "__init__")


def layer(module: str) -> int:
    (found,) = [number for number, modules in enumerate(LAYERS) if module in modules]
    return found


def imports(path: Path) -> Iterator[str]:
    """Every module a file imports, also inside functions."""
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: imports are absolute"
            module = node.module or ""
            if module == "kvstore":
                yield from (f"kvstore.{alias.name}" for alias in node.names)
            else:
                yield module


def own_imports(module: str) -> set[str]:
    found = imports(ROOT / "kvstore" / f"{module}.py")
    return {name.removeprefix("kvstore.") for name in found if name.startswith("kvstore.")}


def test_every_module_is_in_one_layer() -> None:
    assert sorted(module for modules in LAYERS for module in modules) == MODULES


@pytest.mark.parametrize("module", MODULES)
def test_no_import_from_above(module: str) -> None:
    assert {name for name in own_imports(module) if layer(name) > layer(module)} == set()


def test_imports_within_a_layer_have_no_cycle() -> None:
    left = {module: own_imports(module) for module in MODULES}
    while left:
        free = {module for module, needs in left.items() if not needs & left.keys()}
        assert free, f"these import each other: {sorted(left)}"
        left = {module: needs for module, needs in left.items() if module not in free}


@pytest.mark.parametrize("module", sorted(CORE))
def test_the_core_does_no_io(module: str) -> None:
    names = imports(ROOT / "kvstore" / f"{module}.py")
    assert {
        name for name in names if name not in PURE and name.partition(".")[0] not in PURE
    } == set()


def test_the_analysis_knows_the_nodes_by_http_only() -> None:
    for path in [*(ROOT / "analysis").glob("*.py"), ROOT / "locustfile.py"]:
        assert not [name for name in imports(path) if name.split(".")[0] == "kvstore"], path
