"""Fixtures for every test on real nodes."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from tests.support.cluster import Cluster

StartCluster = Callable[..., Cluster]
HERE = Path(__file__).parent


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Where several processes run the tests, those that may share nodes belong to one of them: the
    tests of a file, and all that drive containers. The planted faults share nothing.
    """
    for item in items:
        ring, *_ = item.path.relative_to(HERE).parts
        if ring != "planted":
            group = ring if ring == "containers" else str(item.path)
            item.add_marker(pytest.mark.xdist_group(group))


def _starter(directory: Path) -> Iterator[StartCluster]:
    with ExitStack() as stack:

        def start(followers: int, **options: Any) -> Cluster:
            own = directory / f"cluster{len(list(directory.iterdir()))}"
            return stack.enter_context(Cluster(followers, own, **options))

        yield start


@pytest.fixture
def start_cluster(tmp_path: Path) -> Iterator[StartCluster]:
    """Starts clusters for one test; takes what :class:`Cluster` takes, but no directory."""
    yield from _starter(tmp_path)


@pytest.fixture(scope="module")
def start_shared_cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[StartCluster]:
    """Starts clusters for all tests of a module, which leave them healthy and as they were."""
    yield from _starter(tmp_path_factory.mktemp("shared"))
