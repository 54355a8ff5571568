"""One cluster in containers for all tests of this directory."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.containers.compose import ComposeProject, why_no_engine

HERE = Path(__file__).parent


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark the tests of this directory, and run them after all others."""
    here = [item for item in items if HERE in item.path.parents]
    for item in here:
        item.add_marker(pytest.mark.containers)
        item.add_marker(pytest.mark.timeout(900))
    items.sort(key=here.__contains__)


@pytest.fixture(scope="session")
def cluster() -> Iterator[ComposeProject]:
    """Six healthy nodes; removed with everything that belongs to them."""
    reason = why_no_engine()
    if reason is not None:
        if os.environ.get("REQUIRE_CONTAINERS") == "1":
            pytest.fail(reason)
        pytest.skip(reason)
    project = ComposeProject.with_free_ports()
    try:
        project.start_all()
        yield project
    finally:
        project.remove()
