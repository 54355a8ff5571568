"""What gunicorn loads: the page, and the cluster on it."""

import os
import sys

from playground.app import create_app
from playground.settings import PlaySettings
from playground.stage import AttachedStage, LocalStage, StageError

_settings = PlaySettings.of(os.environ)
try:
    _stage = (
        LocalStage()
        if _settings.leader_url is None
        else AttachedStage(_settings.leader_url, _settings.token)
    )
except StageError as _error:
    print(f"playground: {_error}", file=sys.stderr)
    sys.exit(4)  # gunicorn's APP_LOAD_ERROR: do not try again
app = create_app(_stage, _settings.password)
