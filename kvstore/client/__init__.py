"""A client of the cluster: ``Client("http://127.0.0.1:5000").put("colour", "green")``.

It needs nothing of the package but ``api_types``.
"""

from kvstore.api_types import BatchWritten, Change, DeleteOperation, PutOperation, Written
from kvstore.client.client import Client, Item, Session
from kvstore.client.errors import (
    BatchRefusedError,
    ClientError,
    EntriesCutError,
    IndefiniteError,
    NodeUnavailableError,
    PreconditionFailedError,
    RefusedError,
)

__all__ = [
    "BatchRefusedError",
    "BatchWritten",
    "Change",
    "Client",
    "ClientError",
    "DeleteOperation",
    "EntriesCutError",
    "IndefiniteError",
    "Item",
    "NodeUnavailableError",
    "PreconditionFailedError",
    "PutOperation",
    "RefusedError",
    "Session",
    "Written",
]
