"""What Flask can do at most: one view that stores, one that reads, and nothing else."""

from typing import Any

from flask import Flask, request

app = Flask(__name__)
store: dict[str, Any] = {}


@app.put("/put/<key>")
def put(key: str) -> dict[str, Any]:
    """Parse the body, store the value, and answer."""
    store[key] = request.get_json()["value"]
    return {"status": "ok", "key": key}


@app.get("/get/<key>")
def get(key: str) -> dict[str, Any]:
    """Answer the value; of keys that were stored only."""
    return {"found": True, "value": store[key]}


@app.get("/livez")
@app.get("/readyz")
def ready() -> dict[str, Any]:
    """Say that it runs."""
    return {"ready": True}
