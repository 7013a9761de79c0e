from pathlib import Path

import pytest
from deploy_policies import make_contract, write_linear_policy

from legged_cts.deploy.contract import PolicyContract


@pytest.fixture
def contract() -> PolicyContract:
    return make_contract()


@pytest.fixture
def zero_policy(tmp_path: Path) -> Path:
    """A policy which always asks for the nominal pose."""
    return write_linear_policy(tmp_path / "zero.onnx", make_contract())
