"""Says where a deployment's record differs: `python scripts/replay_deployment.py record=... policy=policy.onnx`."""

from __future__ import annotations

from legged_cts.training import ctrl_c  # noqa: F401

# isort: split
import sys

from legged_cts.deploy.onboard.record import main

if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
