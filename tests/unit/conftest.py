from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Any

import pytest

from tests.support.scripted_server import ScriptedServer

Serve = Callable[..., str]


@pytest.fixture
def serve() -> Iterator[Serve]:
    """Start a server that gives these answers under one path, and return its URL."""
    with ExitStack() as stack:

        def start(path: str, *answers: Any) -> str:
            script = [each if isinstance(each, tuple) else (200, each) for each in answers]
            return stack.enter_context(ScriptedServer({path: script})).url

        yield start
