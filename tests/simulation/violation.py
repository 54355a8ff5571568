"""What the simulator finds."""


class Violation(AssertionError):
    """An invariant does not hold.

    :param invariant: its short name.
    :param detail: what was seen.
    """

    def __init__(self, invariant: str, detail: str) -> None:
        super().__init__(f"{invariant}: {detail}")
        self.invariant = invariant


def require(holds: bool, invariant: str, *detail: object) -> None:
    """Check an invariant; the detail is put into words only where it does not hold."""
    if not holds:
        raise Violation(invariant, " ".join(map(str, detail)))
