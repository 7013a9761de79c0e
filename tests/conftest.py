"""Settings of the whole suite."""

import os
import sys

from hypothesis import settings

# Machines that run the suite may be busy; how long an example takes is no property of the code.
settings.register_profile("legged_cts", deadline=None)
settings.load_profile("legged_cts")

# Where the environment forbids it, every process that a test starts would compile torch, scipy and Warp anew.
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
sys.dont_write_bytecode = False


def pytest_configure(config) -> None:
    """Give every worker of pytest-xdist cores of its own: simulations that share cores stall each other tenfold."""
    worker = getattr(config, "workerinput", None)
    if worker is None:
        return
    index, count = int(worker["workerid"].removeprefix("gw")), worker["workercount"]
    cores = sorted(os.sched_getaffinity(0))
    if len(cores) >= count:
        os.sched_setaffinity(0, cores[index::count])
