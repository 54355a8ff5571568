"""Long values are written down briefly, and nothing that is wrong with them is hidden."""

import pytest

from tests.chaos.long_values import expand, shorten


@pytest.mark.parametrize("value", ["client1-7", "a+b", "name+0", "name+3", ""])
def test_there_and_back(value: str) -> None:
    assert shorten(expand(value)) == value


def test_a_long_value_is_as_long_as_it_says() -> None:
    assert expand("name+3") == "name+3..."


@pytest.mark.parametrize("value", ["name+3..", "name+3....", "name+3", "name."])
def test_a_damaged_value_is_told_apart(value: str) -> None:
    assert shorten(value) not in ("name+3", "name")
