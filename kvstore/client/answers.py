"""What an answer, or the lack of one, means."""

import msgspec
import requests
from urllib3.exceptions import NewConnectionError

from kvstore.client.node_client import Body, NodeClient


def is_never_sent(error: requests.RequestException) -> bool:
    """Whether there was no connection: nothing can have happened then."""
    cause = getattr(error.args[0] if error.args else None, "reason", None)
    return isinstance(error, requests.ConnectTimeout) or isinstance(cause, NewConnectionError)


def why_unanswered(node: NodeClient, error: requests.RequestException) -> str:
    """Why there is no answer, for people."""
    if is_never_sent(error):
        return f"{node.url} cannot be reached"
    if isinstance(error, requests.Timeout):
        return f"{node.url} does not answer"
    return f"{node.url}: the connection was lost"


def complaint(answer: requests.Response) -> str | None:
    """What a node says is wrong; None when this is not the answer of a node."""
    try:
        body = answer.json()
    except ValueError:
        return None
    text = (body.get("reason") or body.get("error")) if isinstance(body, dict) else None
    return str(text) if text else None


def refusal(answer: requests.Response) -> str | None:
    """Why a node refuses a read for good; None when another may answer it, or this is no node."""
    return complaint(answer) if 400 <= answer.status_code < 500 else None


def explain(answer: requests.Response) -> str:
    """What an answer that is no success says about itself, for people."""
    return complaint(answer) or f"HTTP {answer.status_code}, which is not a node's answer"


def maybe(answer: requests.Response, kind: type[Body]) -> Body | None:
    """The body of an answer, if it is of this kind."""
    try:
        return msgspec.json.decode(answer.content, type=kind)
    except ValueError:
        return None
