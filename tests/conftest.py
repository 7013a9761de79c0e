"""Settings of the whole suite."""

import os
import signal
import sys
from pathlib import Path

from hypothesis import settings

# Machines that run the suite may be busy; how long an example takes is no property of the code.
settings.register_profile("legged_cts", deadline=None)
settings.load_profile("legged_cts")

HERE = Path(__file__).parent
SECONDS = {
    "algorithms/test_distributed.py": 50,
    "algorithms/test_joint_batch.py": 30,
    "deploy/test_trace.py": 60,
    "envs/test_door.py": 25,
    "envs/test_flat_env.py": 15,
    "envs/test_rough_env.py": 20,
    "envs/test_symmetric_policies.py": 30,
    "evaluation/compare/test_compare_runs.py": 25,
    "evaluation/compare/test_compare_script.py": 77,
    "evaluation/test_dashboard.py": 20,
    "evaluation/test_dashboard_page.py": 45,
    "evaluation/test_picture.py": 20,
    "evaluation/test_shipped_policy.py": 64,
    "physics/test_native.py": 14,
    "physics/test_parity.py": 37,
    "physics/test_reference.py": 15,
    "robots/test_draft.py": 60,
    "robots/test_vendors.py": 30,
    "training/test_ctrl_c.py": 15,
    "training/test_examples.py": 75,
    "training/test_kill.py": 44,
    "training/test_launchers.py": 70,
    "training/test_learning.py": 300,
    "training/test_many_processes.py": 50,
    "training/test_methods_real.py": 75,
    "training/test_own_robot.py": 25,
    "training/test_real_resume.py": 61,
    "training/test_stress.py": 25,
    "training/test_train_script.py": 123,
    "trust/test_strangers_files.py": 60,
    "viewer/test_page.py": 120,
    "viewer/test_viewer_recorder.py": 15,
    "viewer/test_watch_page.py": 120,
}
"""Files that take more than ten seconds of a core: `pytest -m "not slow"` leaves them out."""

# Where the environment forbids it, every process that a test starts would compile torch, scipy and Warp anew.
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
sys.dont_write_bytecode = False

# A suite that was started in the background ignores these, and so would all that it tests with them.
if signal.getsignal(signal.SIGINT) == signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)
if signal.getsignal(signal.SIGHUP) == signal.SIG_IGN:
    signal.signal(signal.SIGHUP, signal.SIG_DFL)


def pytest_configure(config) -> None:
    """Give every worker of pytest-xdist cores of its own: simulations that share cores stall each other tenfold."""
    worker = getattr(config, "workerinput", None)
    if worker is None:
        return
    index, count = int(worker["workerid"].removeprefix("gw")), worker["workercount"]
    cores = sorted(os.sched_getaffinity(0))
    if len(cores) >= count:
        os.sched_setaffinity(0, cores[index::count])


def pytest_collection_modifyitems(items) -> None:
    """Mark the slow files and begin with the slowest: none of them is left when the other workers are done."""
    for item in items:
        if _seconds(item):
            item.add_marker("slow")
    items.sort(key=lambda item: -_seconds(item))


def _seconds(item) -> float:
    return SECONDS.get(os.path.relpath(item.path, HERE), 0)
