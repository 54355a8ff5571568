"""One cluster for all tests of a module; they leave it healthy and with the settings they found."""

import pytest

from tests.conftest import StartCluster
from tests.support.cluster import PATIENT, Cluster


@pytest.fixture(scope="module")
def cluster(start_shared_cluster: StartCluster) -> Cluster:
    """A leader and five followers; W=1."""
    return start_shared_cluster(5, **PATIENT)
