"""The words of `scripts/dashboard.py`."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from run_files import METRICS, write_run

from legged_cts.evaluation.dashboard import draw, parse_options

SCRIPT = Path(__file__).parents[2] / "scripts" / "dashboard.py"


def test_words(tmp_path):
    run = write_run(tmp_path / "date=1")  # Hydra's sweeps name folders so
    got = parse_options([str(run), "output=x.png", "refresh=30"])
    assert (got.runs, got.output, got.refresh) == ((run,), Path("x.png"), 30)
    assert parse_options([str(run)]).output == run / "dashboard.html"
    assert parse_options([str(run / METRICS)]).output == run / "dashboard.html"
    assert parse_options([str(run), str(run)]).output == Path("dashboard.html")
    assert parse_options([str(run)]).refresh is None
    for bad in (["otput=x.png", str(run)], ["--wacth"], ["output="], ["refresh="]):
        with pytest.raises(ValueError, match="neither a run"):
            parse_options(bad)
    for bad in ("0", "-1", "1.5", "x", "9" * 30):
        with pytest.raises(ValueError, match="refresh: must be"):
            parse_options([str(run), f"refresh={bad}"])
    with pytest.raises(ValueError, match="output: must end in .html or .png"):
        parse_options([str(run), "output=x.pdf"])
    with pytest.raises(ValueError, match="give one run"):
        parse_options(["refresh=3"])


def test_the_ending_of_the_file_says_what_is_drawn(tmp_path):
    run = write_run(tmp_path / "run")
    for name, start in (("a.html", b"<!DO"), ("new/a.png", b"\x89PNG")):
        path = draw(parse_options([str(run), f"output={tmp_path / name}"]))
        assert path == tmp_path / name and path.read_bytes()[:4] == start


def test_script_draws_and_names_what_is_wrong(tmp_path):
    run = write_run(tmp_path / "run")
    done = subprocess.run([sys.executable, str(SCRIPT), str(run)], capture_output=True, text=True, check=False)
    assert done.returncode == 0 and done.stdout == f"page: {run / 'dashboard.html'}\n"
    wrong = subprocess.run([sys.executable, str(SCRIPT), "nowhere"], capture_output=True, text=True, check=False)
    assert wrong.returncode == 2 and wrong.stderr.startswith("error: nowhere is neither a run's folder")


def test_a_page_that_is_drawn_anew_loads_itself_anew_until_ctrl_c(tmp_path):
    run = write_run(tmp_path / "run", 3)
    page = run / "dashboard.html"
    command = [sys.executable, str(SCRIPT), str(run), "refresh=1"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as process:
        assert process.stdout.readline() == f"page: {page}\n"
        assert '<meta http-equiv="refresh" content="1">' in page.read_text()
        with (run / METRICS).open("a") as file:
            file.write("4,24576,1.0,2.0\n")
        while "iteration 4" not in page.read_text():
            assert process.poll() is None
        os.kill(process.pid, signal.SIGINT)
        assert process.wait() == 130
    assert 'http-equiv="refresh"' not in page.read_text()
