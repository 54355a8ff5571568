"""The virtual disk keeps what the real storage keeps, so that what holds here holds there."""

from collections import defaultdict
from pathlib import Path
from random import Random

import gevent
import pytest

from kvstore.core.records import NodeState, Record
from kvstore.node.sqlite_storage import SqliteStorage
from tests.simulation.disk import Disk
from tests.simulation.schedule import REMEMBERED_ENTRIES, Schedule


def contents(state: NodeState) -> tuple[object, ...]:
    """Everything but the node's id."""
    return (
        state.promise,
        state.map.position,
        sorted((item.key, item.version, bytes(item.value)) for item in state.map.items()),
        state.map.requests.requests(),
        state.log.base,
        state.log.entries(),
        state.log.lineage,
        state.log.members,
        state.discarded,
    )


def save(directory: Path, records: list[Record], random: Random) -> NodeState:
    """Write records in transactions of any size, and open the directory again."""
    storage = SqliteStorage(directory)
    storage.start(lambda _: None, lambda: None, gevent.spawn)
    while records:
        count = random.randint(1, 20)
        storage.save(records[:count])
        storage.flush()
        records = records[count:]
    storage.close()
    again = SqliteStorage(directory)
    state = again.load()
    again.close()
    return state


@pytest.mark.parametrize("seed", [1, 2, 3, 4])
def test_sqlite_keeps_what_the_virtual_disk_keeps(
    seed: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    written: defaultdict[Disk, list[Record]] = defaultdict(list)
    write = Disk.write

    def note(disk: Disk, record: Record) -> None:
        written[disk].append(record)
        write(disk, record)

    monkeypatch.setattr(Disk, "write", note)
    monkeypatch.setattr("kvstore.node.sqlite_storage.REMEMBERED_ENTRIES", REMEMBERED_ENTRIES)
    Schedule(seed).run()
    longest = sorted(written, key=lambda disk: len(written[disk]))[-3:]
    for number, disk in enumerate(longest):
        state = save(tmp_path / str(number), written[disk], Random(seed))
        assert contents(state) == contents(disk.state())
