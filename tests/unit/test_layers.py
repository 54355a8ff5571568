"""The direction of imports: the folders are the rooms, and imports run one way between them."""

import ast
import sys
from collections.abc import Iterator
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]

ROOMS = {
    "kvstore": ["client", "cli", "core", "node", "http"],
    "analysis": ["nodes", "study", "report", "bench"],
}
"""Each imports from those before it and from itself; what lies above all of them may use them."""
WIRE = "kvstore.api_types"
"""The bodies of the API: they lie below every room, and clients may use them."""
OUTSIDE = {"client", "cli"}
"""The rooms that are no part of a node."""
OF_CLIENTS = {
    *sys.stdlib_module_names,
    *("analysis", "click", "kvstore", "msgspec", "requests", "rich", "urllib3"),
}
"""What these may import: the package's own dependencies, and the study where it is there."""
PURE = {
    *("abc", "collections", "dataclasses", "enum", "functools", "hashlib", "itertools", "typing"),
    *("gc", "urllib.parse", "zlib", "msgspec", "kvstore"),
}
"""What the core may import."""


def modules(package: str) -> dict[str, set[str]]:
    """What each module of a package imports from that package, by full names."""
    files = {path: module_name(path) for path in (ROOT / package).rglob("*.py")}
    return {
        name: {found for found in imports(path) if found.split(".")[0] == package}
        for path, name in files.items()
    }


def module_name(path: Path) -> str:
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(part for part in parts if part != "__init__")


def imports(path: Path) -> Iterator[str]:
    """Every module a file imports, also inside functions."""
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: imports are absolute"
            module = node.module or ""
            for alias in node.names:
                submodule = ROOT.joinpath(*module.split("."), f"{alias.name}.py")
                yield f"{module}.{alias.name}" if submodule.exists() else module


def height(module: str) -> int:
    """Rank of the module's room; what lies in no room is above all of them, but for the bodies, and
    the package itself, which has its version only.
    """
    if module in (WIRE, "kvstore"):
        return -1
    package, *rest = module.split(".")
    rooms = ROOMS[package]
    return rooms.index(rest[0]) if rest and rest[0] in rooms else len(rooms)


@pytest.mark.parametrize("package", ROOMS)
def test_every_folder_is_a_room(package: str) -> None:
    folders = {path.parent.name for path in (ROOT / package).glob("*/*.py")}
    assert folders == set(ROOMS[package])


@pytest.mark.parametrize("package", ROOMS)
def test_imports_run_downwards(package: str) -> None:
    upwards = {
        f"{module} -> {imported}"
        for module, needs in modules(package).items()
        for imported in needs
        if height(imported) > height(module)
    }
    assert upwards == set()


@pytest.mark.parametrize("package", ROOMS)
def test_imports_have_no_cycle(package: str) -> None:
    TopologicalSorter(modules(package)).prepare()


def test_the_core_does_no_io() -> None:
    impure = {
        f"{path.name}: {name}"
        for path in (ROOT / "kvstore" / "core").glob("*.py")
        for name in imports(path)
        if not {name, name.split(".")[0]} & PURE
    }
    assert impure == set()


def test_the_bodies_of_the_api_need_nothing_of_the_package() -> None:
    assert set(imports(ROOT / f"{WIRE.replace('.', '/')}.py")) == {"msgspec", "typing"}


def test_the_client_needs_nothing_that_only_a_node_has() -> None:
    paths = [path for room in OUTSIDE for path in (ROOT / "kvstore" / room).rglob("*.py")]
    needed = {name for path in paths for name in imports(path)} - {WIRE}
    assert {name for name in needed if name.split(".")[0] not in OF_CLIENTS} == set()


def test_the_nodes_and_their_clients_meet_over_http_only() -> None:
    outside = [path for room in ("analysis", "playground") for path in (ROOT / room).rglob("*.py")]
    for path in [*outside, ROOT / "locustfile.py"]:
        assert known_rooms(path) <= {"client"}, path
    for room in ("core", "node", "http"):
        for path in (ROOT / "kvstore" / room).rglob("*.py"):
            assert not known_rooms(path) & OUTSIDE, path


def known_rooms(path: Path) -> set[str]:
    """The rooms of the package that a file imports from."""
    names = {name for name in imports(path) if name.startswith("kvstore.")} - {WIRE}
    return {name.split(".")[1] for name in names}
