"""What the simulator finds."""


class Violation(AssertionError):
    """An invariant does not hold.

    :param invariant: its short name.
    :param detail: what was seen.
    """

    def __init__(self, invariant: str, detail: str) -> None:
        super().__init__(f"{invariant}: {detail}")
        self.invariant = invariant
