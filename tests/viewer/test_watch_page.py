"""A real training, watched in a real browser while it goes on."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from viewer_browser import PATIENCE, Browser, Page, plotted, until

SCRIPTS = Path(__file__).parents[2] / "scripts"
ITERATIONS = 400
SETTING_UP = 900.0
"""Seconds; two simulators are set up, one of them giving way to the other."""


def start(script: str, words: list[str], log: Path) -> subprocess.Popen[bytes]:
    command = [sys.executable, str(SCRIPTS / script), *words]
    return subprocess.Popen(command, stdout=log.open("wb"), stderr=subprocess.STDOUT, env=os.environ | {"TERM": "dumb"})


def stop(process: subprocess.Popen[bytes]) -> None:
    process.send_signal(signal.SIGINT)
    try:
        process.wait(PATIENCE)
    except subprocess.TimeoutExpired:
        process.kill()


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The folder of a small training that saves every other iteration."""
    folder = tmp_path_factory.mktemp("runs") / "small"
    words = ["env.scene.num_envs=16", f"max_iterations={ITERATIONS}", "runner.save_interval=2", "solver.threads=1"]
    words += ["evaluation.enabled=false", "logger=none", f"hydra.run.dir={folder}"]
    process = start("train.py", words, folder.with_suffix(".train"))
    try:
        until(lambda: list(folder.glob("model_*.pt")), "a checkpoint of the training", SETTING_UP)
        yield folder
    finally:
        stop(process)


@pytest.fixture(scope="module")
def said(run: Path) -> Path:
    return run.with_suffix(".viewer")


@pytest.fixture(scope="module")
def page(browser: Browser, run: Path, said: Path) -> Iterator[Page]:
    process = start("play.py", [f"run={run}", "terrain=flat", "port=0"], said)
    try:
        until(lambda: "open http" in said.read_text(), "the address of the page", SETTING_UP)
        found = re.search(r"http://127\.0\.0\.1:\d+", said.read_text())
        assert found is not None
        page = browser.new_page(viewport={"width": 1280, "height": 800})
        page.set_default_timeout(1000 * PATIENCE)
        page.goto(found[0])
        page.get_by_text("Stand still").wait_for()
        yield page
    finally:
        stop(process)


def steps(page: Page) -> int:
    """Steps of the checkpoint that is at work, as the page says."""
    text = page.get_by_text(re.compile(r"go2, CTS, [\d,]+ steps")).inner_text()
    return int(re.findall(r"[\d,]+ steps", text)[0].split()[0].replace(",", ""))


def tab(page: Page, name: str) -> None:
    page.get_by_role("tab", name=name, exact=True).click()


def test_new_checkpoints_take_over_while_the_robot_stands_there(page: Page, said: Path) -> None:
    first = steps(page)
    until(lambda: steps(page) > first, "a later checkpoint on the page")
    until(lambda: said.read_text().count("is at work") >= 2, "two checkpoints in the terminal")
    page.get_by_text(re.compile(r"takes \d+ % of a core")).wait_for()


def test_metrics_rewards_and_latents_are_drawn(page: Page, shots: Path) -> None:
    page.get_by_text("Plots", exact=True).click()
    tab(page, "Training")
    page.get_by_text(re.compile(rf"iteration \d+ of {ITERATIONS}")).wait_for()
    page.get_by_text("episode return").wait_for()
    until(lambda: any(len(plot[0]) > 2 for plot in plotted(page)), "the course of the training")
    time.sleep(2.0)
    page.screenshot(path=shots / "watch_training_1280.png")
    tab(page, "Reward")
    page.get_by_text("track_lin_vel").wait_for()
    until(lambda: any(len(plot[0]) > 20 for plot in plotted(page)), "the reward")
    page.screenshot(path=shots / "watch_reward_1280.png")
    tab(page, "Latent")
    page.get_by_text("|z_s - z_t|").wait_for()

    def distance() -> list[Any]:
        return next((plot[1] for plot in plotted(page) if len(plot) == 2), [0.0])

    until(lambda: len(distance()) > 20 and max(distance()) > 0.0, "the distance of the latents")
    page.screenshot(path=shots / "watch_latent_1280.png")


def test_the_teacher_takes_over_on_request(page: Page) -> None:
    page.get_by_label("Role").click()
    page.get_by_role("option", name="teacher", exact=True).click()
    first = steps(page)
    until(lambda: steps(page) > first, "a later checkpoint under the teacher")


def test_a_checkpoint_that_is_no_checkpoint_is_one_line_and_the_old_one_goes_on(page: Page, run: Path) -> None:
    half = run / "model_999999.pt"
    half.write_bytes(b"half of a checkpoint")
    page.get_by_text(re.compile(r"model_999999.pt is not a checkpoint or is damaged|is no checkpoint")).wait_for()
    before = steps(page)
    half.unlink()
    until(lambda: steps(page) > before, "the next sound checkpoint")


def test_without_a_page_the_viewer_rests(page: Page, said: Path) -> None:
    page.close()
    until(lambda: "looked for" in said.read_text(), "the end of the looking")
    assert re.search(r"looked for \d+ s, took [\d.]+ % of a core", said.read_text())
