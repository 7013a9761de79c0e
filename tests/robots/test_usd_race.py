"""Processes that convert the same robot at the same time."""

import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]
PROGRAM = """
import pathlib, sys, time
from legged_cts.robots import usd
from legged_cts.robots.spec import load_robot

here, me = pathlib.Path(sys.argv[1]), sys.argv[2]
convert = usd._convert

def together(spec, scratch, path):
    # Neither goes on before both have seen that there is no file yet.
    (here / f"began.{me}").touch()
    end = time.monotonic() + 1800
    while len(list(here.glob("began.*"))) < 2 and time.monotonic() < end:
        time.sleep(0.01)
    convert(spec, scratch, path)

usd._convert = together
path = usd.usd_path(load_robot("tron1"))
from pxr import Usd
stage = Usd.Stage.Open(str(path))
assert stage.GetDefaultPrim()
print(path)
"""


def test_both_get_the_same_whole_file(tmp_path):
    environment = {**os.environ, "LEGGED_CTS_CACHE": str(tmp_path / "cache"), "PYTHONPATH": str(ROOT)}
    both = [
        subprocess.Popen(
            [sys.executable, "-c", PROGRAM, str(tmp_path), name],
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment,
        )
        for name in ("a", "b")
    ]  # fmt: skip
    outputs = [process.communicate(timeout=1800) for process in both]
    assert all(process.returncode == 0 for process in both), outputs
    assert outputs[0][0].splitlines()[-1] == outputs[1][0].splitlines()[-1]
    assert len(list(tmp_path.glob("began.*"))) == 2
    # Only the finished folder is left, no draft.
    assert len(list((tmp_path / "cache" / "usd").iterdir())) == 1
