"""The document that ``GET /openapi.json`` answers: OpenAPI 3.1, made from the table of operations
and the types of their bodies.
"""

import inspect
import re
from typing import Any

import msgspec
from msgspec import Struct

from kvstore.api_types import Document
from kvstore.http.operations import ERRORS, EVERYWHERE, HEADERS, OPERATIONS, Operation, parameters

Json = dict[str, Any]

_JSON = "application/json"


def openapi_document(max_key_bytes: int) -> Document:
    """The whole document.

    :param max_key_bytes: limit of a key.
    """
    token = {
        "type": "http",
        "scheme": "bearer",
        "description": "Required where CLUSTER_TOKEN is set. Where it is not, callers need a "
        "loopback or private address.",
    }
    return Document(
        openapi="3.1.0",
        info={
            "title": "kvstore",
            "version": "1",
            "description": "A key-value store with single-leader replication and a write quorum.",
            "license": {"name": "MIT", "identifier": "MIT"},
        },
        paths={path: _methods(operations) for path, operations in OPERATIONS.items()},
        components={
            "schemas": _schemas(),
            "responses": {
                str(status): _answer(text, kinds, HEADERS.get(status))
                for status, (text, kinds) in ERRORS.items()
            },
            "parameters": parameters(max_key_bytes),
            "securitySchemes": {"token": token},
        },
    )


def _methods(operations: dict[str, Operation]) -> Json:
    methods = {method: _described(operation) for method, operation in operations.items()}
    return methods | ({"head": methods["get"]} if "get" in methods else {})


def _described(operation: Operation) -> Json:
    answers = {status: _ref("responses", str(status)) for status in EVERYWHERE + operation.errors}
    for status, kind in operation.answers.items():
        media = operation.media if status == 200 else _JSON
        if kind is None and status == 200:
            content = {media: {"schema": {"type": "string"}}}
            answers[status] = {"description": operation.summary, "content": content}
            continue
        text, kinds = ("Not changed", ()) if kind is None else (_first_sentence(kind), (kind,))
        answers[status] = _answer(text, kinds, HEADERS.get(kind), media)
    described: Json = {
        "summary": operation.summary,
        "parameters": [_ref("parameters", name) for name in operation.parameters],
        "responses": {str(status): answers[status] for status in sorted(answers)},
    }
    if operation.body is not None:
        required = any(field.required for field in msgspec.structs.fields(operation.body))
        described["requestBody"] = {"required": required, "content": _content((operation.body,))}
    if 401 in operation.errors:
        described["security"] = [{}, {"token": []}]
    return described


def _answer(
    text: str, kinds: tuple[type[Struct], ...], headers: Json | None, media: str = _JSON
) -> Json:
    content = {"content": _content(kinds, media)} if kinds else {}
    return {"description": text, **content, **({"headers": headers} if headers else {})}


def _content(kinds: tuple[type[Struct], ...], media: str = _JSON) -> Json:
    refs = [_ref("schemas", kind.__name__) for kind in kinds]
    return {media: {"schema": refs[0] if len(refs) == 1 else {"anyOf": refs}}}


def _ref(group: str, name: str) -> Json:
    return {"$ref": f"#/components/{group}/{name}"}


def _schemas() -> Json:
    """The schema of every body, and of what it consists of."""
    operations = [operation for methods in OPERATIONS.values() for operation in methods.values()]
    bodies = {body for each in operations for body in (*each.answers.values(), each.body) if body}
    bodies |= {body for _, kinds in ERRORS.values() for body in kinds}
    ordered = sorted(bodies, key=lambda body: body.__name__)
    _, schemas = msgspec.json.schema_components(ordered, ref_template="#/components/schemas/{name}")
    for schema in schemas.values():
        text, *fields = _plain(schema["description"]).split("\n:param ")
        schema["description"] = text.strip()
        meanings = dict(field.split(":", 1) for field in fields)
        for name, member in schema.get("properties", {}).items():
            if name in meanings:
                member["description"] = " ".join(meanings[name].split())
    return schemas


def _first_sentence(kind: type[Struct]) -> str:
    """The sentence that a type's docstring begins with, without its full stop."""
    return " ".join(_plain(kind.__doc__ or "").split("\n\n")[0].split()).removesuffix(".")


def _plain(docstring: str) -> str:
    """A docstring for readers who do not know Python."""
    text = re.sub(r":class:`(\w+)`", r"\1", inspect.cleandoc(docstring).replace("``", ""))
    return re.sub(r"\bNone\b", "null", text)
