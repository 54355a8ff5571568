"""Long values, written down briefly: ``name+1000`` stands for itself and 1,000 dots behind it."""


def expand(value: str) -> str:
    """The value as it is sent."""
    _, plus, count = value.rpartition("+")
    return value + "." * int(count) if plus and count.isdigit() else value


def shorten(value: str) -> str:
    """The value as it is written down; one that is not what it says is told apart."""
    short = value.rstrip(".")
    return short if expand(short) == value else f"{short} and {len(value) - len(short)} dots"
