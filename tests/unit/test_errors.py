"""The one tree of errors."""

import importlib
import pkgutil
from collections.abc import Iterator

import kvstore
from kvstore.core import errors


def below(kind: type[BaseException]) -> Iterator[type[BaseException]]:
    for each in kind.__subclasses__():
        yield each
        yield from below(each)


def test_every_exception_of_the_package_is_in_the_tree_that_is_drawn() -> None:
    for module in pkgutil.walk_packages(kvstore.__path__, "kvstore."):
        importlib.import_module(module.name)
    own = {each for each in below(BaseException) if each.__module__.split(".")[0] == "kvstore"}
    assert own - {errors.KvstoreError} == set(below(errors.KvstoreError))
    drawn = {line.strip("│├└─ ").split(" ")[0] for line in (errors.__doc__ or "").splitlines()}
    assert {each.__name__ for each in own} <= drawn
