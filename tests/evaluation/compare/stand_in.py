"""Commands that stand in for the scripts of a comparison."""

import sys
from pathlib import Path

from legged_cts.evaluation.compare.jobs import Commands

FAKE = Path(__file__).parent / "fake_run.py"
COMMANDS = Commands((sys.executable, str(FAKE), "train"), (sys.executable, str(FAKE), "evaluate"))
