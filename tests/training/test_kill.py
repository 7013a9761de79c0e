"""A training that is killed again and again loses no file, and ends as one that never was."""

from __future__ import annotations

import os
import random
import subprocess
import sys
import time
from pathlib import Path

from build import make_runner
from entries import TIMINGS, differences, metrics_rows

from legged_cts.training.checkpoint import latest_checkpoint, load_checkpoint
from legged_cts.training.random_state import seed_everything

WORKER = Path(__file__).parent / "kill_worker.py"
ENDLESS = 1_000_000


def start(folder: Path, iterations: int) -> subprocess.Popen[bytes]:
    path = os.pathsep.join([str(WORKER.parents[1]), os.environ.get("PYTHONPATH", "")])
    environment = {**os.environ, "PYTHONPATH": path, "OMP_NUM_THREADS": "1"}
    command = [sys.executable, str(WORKER), str(folder), str(iterations)]
    return subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)


def test_killed_at_any_moment_it_goes_on_from_the_newest_checkpoint(tmp_path):
    folder, delays = tmp_path / "killed", random.Random(4)
    folder.mkdir()
    reached = kills = 0
    draft = folder / ".model_3-abcd1234.tmp"
    while kills < 3:
        draft.write_bytes(b"half a checkpoint")
        process = start(folder, ENDLESS)
        # Being late matters: before the first new checkpoint there is nothing to lose.
        deadline = time.monotonic() + 1800
        while newest(folder) <= reached and time.monotonic() < deadline and process.poll() is None:
            time.sleep(0.005)
        time.sleep(delays.uniform(0.0, 0.2))
        assert process.poll() is None, process.stderr and process.stderr.read().decode()[-3000:]
        process.kill()
        process.wait()
        kills += 1
        # Everything that is called a checkpoint is one, and there is progress each time.
        for path in folder.glob("*.pt"):
            load_checkpoint(path)
        now = load_checkpoint(latest_checkpoint(folder))["iter"]
        assert now > reached
        reached = now
        iterations = [int(row["iteration"]) for row in metrics_rows(folder) if row["best_score"] is not None]
        assert iterations == list(range(1, len(iterations) + 1)) and len(iterations) >= reached
        assert not draft.exists()
    end = reached + 5
    last = start(folder, end)
    assert last.wait(timeout=1800) == 0
    seed_everything(0)
    make_runner(tmp_path / "whole", save_interval=1, best_interval=1, keep=2).learn(end, init_at_random_ep_len=True)
    names = sorted(path.name for path in (tmp_path / "whole").iterdir())
    assert sorted(path.name for path in folder.iterdir()) == names
    for name in names:
        if name.endswith(".pt"):
            pair = (load_checkpoint(parent / name) for parent in (folder, tmp_path / "whole"))
            assert differences(*pair, but=TIMINGS) == []
    assert metrics_rows(folder) == metrics_rows(tmp_path / "whole")


def newest(folder: Path) -> int:
    return max((int(path.stem.partition("_")[2]) for path in folder.glob("model_*.pt")), default=0)
