"""What gunicorn loads: one node, configured by environment variables."""

import os

from kvstore.app import create_app, create_node
from kvstore.config import load_settings

_settings = load_settings(os.environ)
app = create_app(_settings, create_node(_settings))
