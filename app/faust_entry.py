"""`faust -A app.faust_entry worker`: the Faust app, built when this module is imported, because Faust's command line requires that."""

from __future__ import annotations

import signal
import sys

from app.entry import end_worker

if "worker" in sys.argv:
    # This handler serves until Faust sets its own; the following imports take a second.
    signal.signal(signal.SIGTERM, end_worker)

from app.config.loading import load_settings
from app.exit_codes import exit_code
from app.worker import faust_commands
from app.worker.bootstrap import build_worker
from app.worker.ending import say
from tables.errors import WordcountError

try:
    app = build_worker(load_settings(state_dir=faust_commands.datadir(sys.argv[1:])))
except WordcountError as error:
    say(str(error))
    raise SystemExit(exit_code(error)) from None
