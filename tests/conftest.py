"""Fixtures for every test on real nodes."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from tests.support.harness import ClusterHarness

StartCluster = Callable[..., ClusterHarness]


@pytest.fixture
def start_cluster(tmp_path: Path) -> Iterator[StartCluster]:
    """Starts clusters for one test; takes what :class:`ClusterHarness` takes, but no directory."""
    with ExitStack() as stack:

        def start(followers: int, **options: Any) -> ClusterHarness:
            directory = tmp_path / f"cluster{len(list(tmp_path.iterdir()))}"
            harness = ClusterHarness(followers, directory, **options)
            return stack.enter_context(harness)

        yield start
