"""What a node gives up when another state takes the place of its own."""

from kvstore.core.entries import Entry, Item
from kvstore.core.key_value_map import KeyValueMap
from kvstore.core.lineage import Lineage
from kvstore.core.replication_log import ReplicationLog


def discarded_parts(
    log: ReplicationLog, kv_map: KeyValueMap, lineage: Lineage, last_index: int
) -> list[Entry | Item]:
    """What of a node's state another state, which replaces it, does not hold.

    :param lineage: of the other state.
    :param last_index: of the other state.
    :return: entries; and items of the map, where the entries that made them are cut.
    """
    common = log.lineage.common_index(log.last.index, lineage, last_index)
    entries = log.entries(behind=common)
    if common >= log.base.index:
        return [*entries]
    items = [item for item in kv_map.items() if common < item.version <= log.base.index]
    return [*items, *entries]
