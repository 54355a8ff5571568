"""Two leaders of the same followers."""

from analysis.nodes.node import Node
from tests.support.waiting import wait_until


def wait_until_one_leads(*leaders: Node) -> tuple[Node, Node]:
    """Wait until one of two leaders leads, and the other is deposed.

    :return: the one that leads, and the other.
    """
    by_state: dict[str, Node] = {}

    def why_not() -> str | None:
        by_state.clear()
        by_state.update({leader.status().state: leader for leader in leaders})
        return None if sorted(by_state) == ["deposed", "leading"] else f"they are {set(by_state)}"

    wait_until(why_not)
    return by_state["leading"], by_state["deposed"]
