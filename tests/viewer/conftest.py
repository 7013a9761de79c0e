"""Shared by the viewer's tests."""

from __future__ import annotations

from pathlib import Path

import pytest
from viewer_policies import write_standing_policy


@pytest.fixture(scope="session")
def standing_policy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An ONNX file whose robot stands still."""
    return write_standing_policy(tmp_path_factory.mktemp("policy") / "standing.onnx")
