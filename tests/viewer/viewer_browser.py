"""A real browser for the tests of the page, and what is asked of it."""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable
from typing import Any

import pytest

try:
    from playwright.sync_api import Browser, Page, sync_playwright  # noqa: F401
except ImportError:
    pytest.skip("the page's tests need playwright: it is in the dev group of pyproject.toml", allow_module_level=True)

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
if CHROMIUM is None:
    pytest.skip("the page's tests need a Chromium: apt-get install chromium", allow_module_level=True)
# A machine without a GPU draws WebGL on its CPU; root has no sandbox.
ARGUMENTS = ["--no-sandbox", "--use-angle=swiftshader", "--enable-unsafe-swiftshader", "--ignore-gpu-blocklist"]
PATIENCE = 120.0
"""Seconds; a busy machine may take that long for what takes one."""


def until(true: Callable[[], Any], what: str, patience: float = PATIENCE) -> None:
    """Waits for something to become true."""
    end = time.monotonic() + patience
    while not true():
        assert time.monotonic() < end, f"never saw {what}"
        time.sleep(0.05)


def plotted(page: Page) -> list[list[list[float]]]:
    """The data of each plot that can be seen."""
    return page.evaluate(
        """Object.values(window.__viserTestpoints?.uplots ?? {})
            .map((plot) => plot.chart)
            .filter((chart) => chart.root.offsetWidth > 200 && chart.width > 200)
            .map((chart) => [...chart.data].map((row) => [...row]))"""
    )
