"""The routes that are answered before flask is entered."""

from unittest.mock import Mock

import pytest
from werkzeug.test import Client
from werkzeug.wrappers import Response

from kvstore.core.messages import encode
from kvstore.http.access import access_check
from kvstore.http.replication_routes import ReplicationRoutes
from tests.support.replication import hello


def test_an_error_of_the_node_is_answered_and_logged(caplog: pytest.LogCaptureFixture) -> None:
    node = Mock(**{"receive.side_effect": ZeroDivisionError("of the rules")})
    routes = ReplicationRoutes(Response("others"), node, access_check(None))
    environ = {"REMOTE_ADDR": "127.0.0.1", "RAW_URI": "/replicate/hello"}
    client = Client(routes)
    answer = client.post("/replicate/hello", data=encode(hello()), environ_base=environ)
    assert (answer.status_code, answer.json) == (500, {"error": "internal server error"})
    assert "of the rules" in caplog.text
    assert client.get("/replicate/hello/x").text == "others"
