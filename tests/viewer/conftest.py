"""Shared by the viewer's tests."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from viewer_policies import write_standing_policy


@pytest.fixture(scope="session")
def standing_policy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An ONNX file whose robot stands still."""
    return write_standing_policy(tmp_path_factory.mktemp("policy") / "standing.onnx")


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    """A Chromium without a window."""
    from viewer_browser import ARGUMENTS, CHROMIUM, sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=ARGUMENTS)
        yield browser
        browser.close()


@pytest.fixture(scope="module")
def shots(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where screenshots go: the folder SCREENSHOTS, or one that is deleted."""
    folder = Path(os.environ.get("SCREENSHOTS") or tmp_path_factory.mktemp("screenshots"))
    folder.mkdir(parents=True, exist_ok=True)
    return folder
