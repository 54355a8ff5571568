"""What gunicorn loads: one node, configured by environment variables."""

import os
import sys

from kvstore.app import create_app, create_node
from kvstore.config import load_settings
from kvstore.core.errors import StorageError
from kvstore.node.vital import NODE_FAILED

_settings = load_settings(os.environ)
try:
    app = create_app(_settings, create_node(_settings))
except StorageError as _error:
    print(f"kvstore: {_error}", file=sys.stderr)
    sys.exit(NODE_FAILED)
