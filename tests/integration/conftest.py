"""One cluster for all tests of a module; they leave it healthy and with the settings they found."""

from collections.abc import Iterator

import pytest

from tests.support.harness import ClusterHarness


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ClusterHarness]:
    """A leader and five followers with the default settings."""
    with ClusterHarness(5, tmp_path_factory.mktemp("cluster")) as harness:
        yield harness
