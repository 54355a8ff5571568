"""Many clients at a time: there is one order, and every copy follows it."""

from concurrent.futures import ThreadPoolExecutor

from tests.support.cluster import Cluster
from tests.support.write_record import WriteRecord

CLIENTS = 20
WRITES_EACH = 25


def test_writes_of_many_clients_travel_several_in_one_request(cluster: Cluster) -> None:
    leader, record = cluster.leader, WriteRecord()
    # So long that every client has its next write in the log before the next request leaves.
    leader.set_delay(100, 100)
    before = [cluster.follower_status(follower) for follower in cluster.followers]

    def write(client: int) -> None:
        for number in range(WRITES_EACH):
            assert record.put(leader, f"key{number % 2}", [client, number]) == 200

    with ThreadPoolExecutor(CLIENTS) as pool:
        list(pool.map(write, range(CLIENTS)))
    copy = cluster.assert_nothing_lost(record)
    versions = {write.version for write in record.confirmed}
    assert len(versions) == CLIENTS * WRITES_EACH
    assert max(copy.versions.values()) == max(versions)
    for follower, old in zip(cluster.followers, before, strict=True):
        new = cluster.follower_status(follower)
        entries = new.entries_sent - old.entries_sent
        assert entries == CLIENTS * WRITES_EACH
        assert new.delay.count - old.delay.count < entries / 2
