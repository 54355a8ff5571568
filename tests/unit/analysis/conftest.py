from collections.abc import Iterator
from contextlib import ExitStack
from typing import Any, Protocol

import pytest

from tests.support.scripted_server import ScriptedServer


class StartServer(Protocol):
    def __call__(self, **answers: Any) -> ScriptedServer: ...


@pytest.fixture
def start_server() -> Iterator[StartServer]:
    """Start a server; ``status=`` and ``store=`` are its answers, each one or a list of them."""
    paths = {"status": "/status", "store": "/admin/store"}
    with ExitStack() as stack:

        def start(**answers: Any) -> ScriptedServer:
            scripts = {
                paths[name]: [
                    each if isinstance(each, tuple) else (200, each)
                    for each in (answer if isinstance(answer, list) else [answer])
                ]
                for name, answer in answers.items()
            }
            return stack.enter_context(ScriptedServer(scripts))

        yield start
