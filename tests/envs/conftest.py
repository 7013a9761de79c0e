import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))


@pytest.fixture
def inner(env):
    """The test module's environment, freshly reset, without its wrapper."""
    env.reset()
    return env.unwrapped
