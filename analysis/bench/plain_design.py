"""The assignment's own design, as it is usually solved: the least that a leader has to do.

The exercise follows "Leaders and Followers" (chapter 5, section 1 of *Designing Data-Intensive
Applications*). This is the common form of its published solutions, one of which is ``lab4/src`` of
``github.com/Ekkusuu/Network_Labs``: a write opens an ``aiohttp.ClientSession``, posts to all
followers at the same time, each time after a random delay, and is answered once W followers have
answered. Nothing is kept on disk. A request that is still on its way then is cancelled, so a
follower may lack the write for ever; nothing is sent a second time.

Written anew, and without what would slow it down: no locks, no log lines.
"""

import asyncio
import logging
import os
import random
from typing import Any

import aiohttp
from flask import Flask, request

FOLLOWERS = [address for address in os.environ.get("FOLLOWERS", "").split(",") if address]
MIN_DELAY_MS = float(os.environ["MIN_DELAY"])
MAX_DELAY_MS = float(os.environ["MAX_DELAY"])

logging.getLogger("werkzeug").setLevel(logging.ERROR)
app = Flask(__name__)
store: dict[str, Any] = {}
settings = {"quorum": 1}


@app.put("/put/<key>")
def put(key: str) -> tuple[dict[str, Any], int]:
    """Store the value here and at W followers."""
    value = store[key] = request.get_json()["value"]
    confirmed = asyncio.run(_replicate({"key": key, "value": value}, settings["quorum"]))
    enough = confirmed >= settings["quorum"]
    return {"status": "ok" if enough else "error", "key": key}, 200 if enough else 503


@app.post("/replicate")
def replicate() -> dict[str, Any]:
    """Store what the leader sends."""
    write = request.get_json()
    store[write["key"]] = write["value"]
    return {"status": "ok"}


@app.post("/admin/set_quorum")
def set_quorum() -> dict[str, int]:
    """Change W."""
    settings["quorum"] = request.get_json()["quorum"]
    return settings


@app.get("/livez")
@app.get("/readyz")
def ready() -> dict[str, Any]:
    """Say that it runs."""
    return {"ready": True}


async def _replicate(write: dict[str, Any], quorum: int) -> int:
    confirmed = 0
    async with aiohttp.ClientSession() as session:
        tasks = [asyncio.create_task(_send(session, follower, write)) for follower in FOLLOWERS]
        for answer in asyncio.as_completed(tasks):
            confirmed += await answer
            if confirmed >= quorum:
                break
        for task in tasks:
            task.cancel()
    return confirmed


async def _send(session: aiohttp.ClientSession, follower: str, write: dict[str, Any]) -> bool:
    await asyncio.sleep(random.uniform(MIN_DELAY_MS, MAX_DELAY_MS) / 1000)
    try:
        async with session.post(f"http://{follower}/replicate", json=write) as answer:
            return answer.status == 200
    except aiohttp.ClientError:
        return False
