"""The real page in a real browser: what one clicks, types and sees.

Set SCREENSHOTS to a folder to keep the pictures.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from viewer_browser import PATIENCE, Browser, Page, plotted, until

from legged_cts.deploy.policy_file import policy_file
from legged_cts.viewer import app as viewer_app
from legged_cts.viewer import choices, recorder
from legged_cts.viewer.app import App
from legged_cts.viewer.choices import Choices
from legged_cts.viewer.session import World


@pytest.fixture(scope="module")
def app(tmp_path_factory: pytest.TempPathFactory) -> Iterator[App]:
    logs = tmp_path_factory.mktemp("logs")
    (logs / "broken").mkdir()
    (logs / "broken" / "policy.onnx").write_bytes(b"no network")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(choices, "LOGS", logs)
        # A browser without a GPU draws a few pictures a second; with more to draw it answers nobody.
        patch.setattr(viewer_app, "FRAME", 0.25)
        offered = Choices("go2_flat", policy_file("go2_flat"))
        app = App(offered.open("go2_flat", World()), port=0, choices=offered)
        loop = threading.Thread(target=app.run, daemon=True)
        loop.start()
        yield app
        app.close()
        loop.join(PATIENCE)


@pytest.fixture(scope="module")
def errors() -> list[str]:
    return []


def open_page(browser: Browser, app: App, errors: list[str], width: int = 800, height: int = 600) -> Page:
    page = browser.new_page(viewport={"width": width, "height": height})
    page.set_default_timeout(1000 * PATIENCE)
    page.on("console", lambda message: errors.append(message.text) if message.type == "error" else None)
    page.on("pageerror", lambda error: errors.append(str(error)))
    page.goto(app.url)
    page.get_by_text("Stand still").wait_for()
    return page


@pytest.fixture(scope="module")
def page(browser: Browser, app: App, errors: list[str]) -> Page:
    return open_page(browser, app, errors)


def control(page: Page, handle: Any) -> Any:
    """Where the page shows a control."""
    return page.locator(f'[id="{handle._impl.uuid}"]')


def slide(page: Page, handle: Any, share: float) -> None:
    """Clicks on a slider at a share of its length."""
    control(page, handle).scroll_into_view_if_needed()
    box = control(page, handle).bounding_box()
    assert box is not None
    page.mouse.click(box["x"] + share * box["width"], box["y"] + box["height"] / 2)


def choose(page: Page, handle: Any, option: str) -> None:
    """Takes an entry of a list."""
    control(page, handle).click()
    page.get_by_role("option", name=option, exact=True).click()


def shoot(app: App, page: Page, path: Path, width: int = 1280, height: int = 800) -> None:
    """Takes a picture while nothing moves, so that a slow browser catches up."""
    small = page.viewport_size
    assert small is not None
    app._timing.pause.value = True
    try:
        page.get_by_text("paused", exact=True).wait_for()
        page.set_viewport_size({"width": width, "height": height})
        page.mouse.move(200, 500)  # away from what shows a hint
        time.sleep(3.0)
        page.screenshot(path=path)
        page.set_viewport_size(small)
    finally:
        app._timing.pause.value = False


def test_a_slider_moves_the_robot_and_the_page_says_how_fast(app: App, page: Page, shots: Path) -> None:
    slide(page, app._command.sliders[0], 0.8)
    until(lambda: app.command[0] > 0.5, "the command of the slider")
    until(lambda: app._player.velocity[0] > 0.4, "the robot walking")
    page.get_by_text(f"{app.command[0]:+.2f}").first.wait_for()
    until(lambda: app._player.state.base_pos[0] > 0.5, "the robot half a metre on")
    shoot(app, page, shots / "walking_1280.png")
    page.get_by_text("Stand still").click()
    until(lambda: not app.command.any(), "the command to stand")


def test_a_push_reaches_the_robot_on_the_side_that_was_clicked(app: App, page: Page) -> None:
    pushes: list[np.ndarray] = []
    session = app._session
    push = session.push
    session.push = lambda velocity: (pushes.append(velocity), push(velocity))[1]  # type: ignore[method-assign]
    page.get_by_role("button", name="left", exact=True).click()
    until(lambda: pushes, "the push")
    assert np.linalg.norm(pushes[0]) == pytest.approx(0.8)


def test_the_plots_fill_when_they_are_asked_for(app: App, page: Page, shots: Path) -> None:
    assert plotted(page) == []
    slide(page, app._command.sliders[2], 0.8)
    control(page, app._view.plots).click()

    def filled() -> bool:
        plots = plotted(page)
        return len(plots) == 4 and min(len(plot[0]) for plot in plots) > 40

    until(filled, "forty numbers in each plot of the speeds")
    _, _, (time_axis, command, measured), feet = plotted(page)
    assert time_axis[-1] == 0.0 and len(feet) == 5
    assert command[-1] == pytest.approx(app.command[2])
    assert np.mean(measured[-20:]) == pytest.approx(app.command[2], abs=0.3)
    shoot(app, page, shots / "plots_1280.png")
    page.get_by_text("Joints", exact=True).click()
    page.get_by_text("FL_calf [rad]").wait_for()
    until(filled, "forty numbers in each plot of the joints")
    shoot(app, page, shots / "joints_1280.png")
    control(page, app._view.plots).click()
    page.get_by_text("FL_calf [rad]").wait_for(state="detached")
    assert not app._plots.shown
    page.get_by_text("Stand still").click()


def test_keys_drive_while_they_are_held_and_leave_the_camera_alone(app: App, page: Page) -> None:
    page.mouse.click(200, 500)  # into the scene, away from all controls
    (client,) = app._server.get_clients().values()
    camera = np.array(client.camera.position)
    page.keyboard.down("w")
    page.keyboard.down("ArrowLeft")
    until(lambda: np.allclose(app.command, (0.6, 0.0, 0.6), atol=1e-6), "the command of the keys")
    until(lambda: app._player.velocity[0] > 0.3, "the robot walking")
    page.keyboard.up("w")
    until(lambda: np.allclose(app.command, (0.0, 0.0, 0.6), atol=1e-6), "the turn alone")
    page.keyboard.up("ArrowLeft")
    until(lambda: not app.command.any(), "the command to stand")
    np.testing.assert_allclose(client.camera.position, camera, atol=1e-6)
    page.keyboard.down("s")
    until(lambda: app.command[0] < -0.5, "backwards")
    page.evaluate("window.dispatchEvent(new Event('blur'))")
    until(lambda: not app.command.any(), "standing when the window loses the keyboard")
    page.keyboard.up("s")


def test_a_gamepad_drives_while_its_shoulder_button_is_held(app: App, page: Page) -> None:
    page.evaluate(
        """() => {
            window.pad = {connected: true, axes: [-1, -0.5, 0.05, 0], buttons: [...Array(16)].map(() => ({}))};
            navigator.getGamepads = () => [null, window.pad];
        }"""
    )
    time.sleep(0.5)
    assert not app.command.any()  # nobody holds the button
    page.evaluate("window.pad.buttons[4].pressed = true")
    until(lambda: np.allclose(app.command, (0.5, 0.5, 0.0), atol=1e-6), "the command of the sticks")
    page.evaluate("window.pad.buttons[4].pressed = false")
    until(lambda: not app.command.any(), "standing when the button is let go")


def test_space_pauses_and_n_steps(app: App, page: Page) -> None:
    page.mouse.click(200, 500)
    page.keyboard.press("Space")
    until(lambda: app._timing.pause.value, "the pause")
    page.get_by_text("paused", exact=True).wait_for()
    before = app._time
    page.keyboard.press("n")
    until(lambda: app._time > before, "a step")
    assert app._time - before == pytest.approx(app._session.control_dt)
    page.keyboard.press("Space")
    until(lambda: not app._timing.pause.value, "the end of the pause")


def test_the_ground_and_its_difficulty_change(app: App, page: Page, shots: Path) -> None:
    choose(page, app._world.terrain, "stairs_down")
    until(lambda: app._session.world.terrain == "stairs_down", "the stairs")
    slide(page, app._world.difficulty, 0.1)
    until(lambda: app._session.world.difficulty < 0.2, "the easier stairs")
    shoot(app, page, shots / "stairs_1280.png")
    choose(page, app._world.terrain, "flat")
    until(lambda: app._session.world.terrain == "flat", "level ground")


def test_a_course_sends_the_robot_to_its_end(app: App, page: Page, shots: Path) -> None:
    choose(page, app._world.terrain, "stairs_up_5")
    page.get_by_text("0 late; ").wait_for()
    until(lambda: app._player.crossing.way > 0.2, "the robot under way")
    shoot(app, page, shots / "course_1280.png")
    choose(page, app._world.terrain, "flat")
    until(lambda: app._session.world.terrain == "flat", "level ground")
    page.get_by_text("Stand still").click()


def test_another_robot_takes_over_and_what_cannot_be_played_is_told(app: App, page: Page, shots: Path) -> None:
    choose(page, app._policy, "tron1_flat")
    until(lambda: app._session.spec.name == "tron1", "the biped")
    page.get_by_text("tron1, ").wait_for()
    shoot(app, page, shots / "tron1_1280.png")
    choose(page, app._policy, str(choices.LOGS / "broken"))
    page.get_by_text("is no ONNX file that can be read").wait_for()
    assert app._session.spec.name == "tron1"
    assert control(page, app._policy).input_value() == "tron1_flat"
    shoot(app, page, shots / "trouble_1280.png")
    choose(page, app._policy, "go2_flat")
    until(lambda: app._session.spec.name == "go2", "the quadruped")
    page.get_by_text("is no ONNX file that can be read").wait_for(state="detached")


def test_a_second_robot_walks_beside_the_first(app: App, page: Page, shots: Path) -> None:
    assert app._beside is not None
    page.get_by_text("Side by side").click()
    choose(page, app._beside._lists[1], "tron1_flat")
    until(lambda: len(app._stage.figures) == 2, "the second robot")
    slide(page, app._command.sliders[0], 0.75)
    until(lambda: min(figure.player.velocity[0] for figure in app._stage.figures) > 0.3, "both robots walking")
    page.get_by_role("cell", name="tron1_flat").wait_for()
    shoot(app, page, shots / "side_by_side_1280.png")
    choose(page, app._beside._lists[1], "nobody")
    until(lambda: len(app._stage.figures) == 1, "the first robot alone")
    page.get_by_text("Stand still").click()


def test_a_recording_is_drawn_and_handed_to_the_browser(
    app: App, page: Page, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(recorder, "FOLDER", tmp_path)
    monkeypatch.setattr(recorder, "SIZES", {"mp4": (64, 48), "gif": (64, 48)})
    page.get_by_text("Record", exact=True).first.click()
    button = page.get_by_role("button", name="Record", exact=True)
    button.click()
    page.get_by_role("button", name="Stop and save").wait_for()
    until(lambda: len(app._recorder._states) > 5, "some pictures kept")
    page.get_by_role("button", name="Stop and save").click()
    link = page.get_by_role("link", name=".mp4")
    with page.expect_download() as download:
        link.click()
    (path,) = tmp_path.iterdir()
    assert Path(download.value.path()).read_bytes() == path.read_bytes()
    assert download.value.suggested_filename == path.name


def test_pages_come_and_go_and_the_last_still_steers(
    app: App, browser: Browser, page: Page, errors: list[str], shots: Path
) -> None:
    page.close()
    for _ in range(10):
        page = open_page(browser, app, errors, 390, 844)
        assert control(page, app._policy).input_value() == "go2_flat"
        page.close()
    page = open_page(browser, app, errors, 390, 844)
    slide(page, app._command.sliders[0], 0.8)
    until(lambda: app.command[0] > 0.5, "the command of the slider")
    shoot(app, page, shots / "phone_390.png", 390, 844)
    page.get_by_text("Stand still").click()
    until(lambda: not app.command.any(), "the command to stand")
    page.close()
    until(lambda: not app._server.get_clients(), "the pages gone")


def test_no_page_complained(errors: list[str]) -> None:
    assert errors == []
