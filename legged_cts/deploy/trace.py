"""Golden traces: what a policy answered to 200 steps of sensor readings, for any runtime to be checked against."""

from __future__ import annotations

import io
import tokenize
import zipfile
import zlib
from pathlib import Path

import numpy as np

from legged_cts.deploy.commands import TraceOptions
from legged_cts.deploy.contract import check
from legged_cts.deploy.controller import Controller
from legged_cts.deploy.mujoco_robot import MujocoRobot
from legged_cts.deploy.onnx_file import network_hash, read_onnx
from legged_cts.deploy.policy import OnnxPolicy
from legged_cts.deploy.policy_file import policy_file
from legged_cts.deploy.robot import Array
from legged_cts.robots.spec import assets_dir, load_robot
from legged_cts.trust.plain import read_bounded

STEPS = 200
MAX_FILE = 16 * 2**20
"""Bytes of a trace, packed or not; one has a hundred thousand."""
_BROKEN = (
    ValueError, KeyError, EOFError, MemoryError, NotImplementedError, TypeError, SyntaxError, zipfile.BadZipFile,
    zlib.error, tokenize.TokenError,
)  # fmt: skip
"""What NumPy raises where a file is none of its own; headers of its arrays are Python literals."""
TOLERANCE = 1e-4
"""Largest difference of an action between two runtimes; float32 sums taken in another order differ by about 1e-6."""


def check_traces(options: TraceOptions) -> float:
    """Checks, or writes, the traces that were asked for and prints a line for each.

    Returns:
        The largest difference.

    Raises:
        ValueError: if a trace does not fit its policy, or an action differs by more than `TOLERANCE`.
    """
    if options.policy is None and options.trace is not None:
        raise ValueError("trace: name the policy=... that it belongs to")
    found = (
        sorted((assets_dir() / "policies").glob("*/policy.onnx"))
        if options.policy is None
        else [policy_file(options.policy)]
    )
    largest = 0.0
    for path in map(Path, found):
        trace = Path(options.trace) if options.trace else path.with_name("trace.npz")
        if options.write:
            write_trace(path, trace)
            print(f"{trace}: written")
            continue
        error = trace_error(path, trace)
        largest = max(largest, error)
        print(f"{path}: {STEPS} steps, largest difference {error:.1e}")
        if not error <= TOLERANCE:
            raise ValueError(f"{path}: an action differs by {error:.1e} from {trace}, more than {TOLERANCE:g}")
    return largest


def write_trace(policy: Path, trace: Path) -> None:
    """Walks in plain MuJoCo with a command that changes, and keeps what the policy saw and what it answered."""
    network = OnnxPolicy(policy)
    spec = load_robot(network.contract.robot)
    check(network.contract, spec)
    robot = MujocoRobot(spec, network.contract.control_dt, network.contract.physics_dt)
    controller = Controller(network, robot)
    frames, actions = [], []
    for step in range(STEPS):
        actions.append(controller.step(np.array([0.5 * (step >= 50), 0.0, 0.5 * (step >= 120)])))
        assert network.history is not None
        frames.append(network.history[-1])
    np.savez_compressed(
        trace,
        proprioception=np.array(frames, dtype=np.float32),
        actions=np.array(actions, dtype=np.float32),
        policy_sha256=_digest(policy),
    )


def trace_error(policy: Path, trace: Path) -> float:
    """Largest difference between the actions of a trace and what the policy answers here.

    Raises:
        ValueError: if the file is no trace, or is one of another policy.
    """
    network = OnnxPolicy(policy)
    frames, actions, digest = _read(trace)
    if digest != _digest(policy):
        raise ValueError(f"{trace}: the trace of another policy than {policy}; write=true writes it again")
    shapes = (STEPS, network.contract.observation_size), (STEPS, len(network.contract.joints))
    if (frames.shape, actions.shape) != shapes:
        raise ValueError(f"{trace}: expected arrays of the shapes {shapes}, got {frames.shape} and {actions.shape}")
    if not np.isfinite(frames).all() or not np.isfinite(actions).all():
        raise ValueError(f"{trace}: holds numbers that are not finite; write=true writes it again")
    return float(max(np.abs(network.act(frame) - action).max() for frame, action in zip(frames, actions, strict=True)))


def _read(trace: Path) -> tuple[Array, Array, str]:
    try:
        data = io.BytesIO(read_bounded(trace, MAX_FILE))
        with zipfile.ZipFile(data) as archive:
            if sum(entry.file_size for entry in archive.infolist()) > MAX_FILE:
                raise ValueError(f"it unpacks to more than {MAX_FILE:,} bytes")
        with np.load(data, allow_pickle=False) as file:
            frames, actions, digest = file["proprioception"], file["actions"], str(file["policy_sha256"])
        for name, array in (("proprioception", frames), ("actions", actions)):
            if not isinstance(array, np.ndarray) or array.dtype.kind != "f":
                raise ValueError(f"{name} is no array of floating-point numbers")
    except _BROKEN as error:
        raise ValueError(f"{trace}: no trace file ({' '.join(str(error).split())})") from error
    return frames, actions, digest


def _digest(path: Path) -> str:
    """Of the network alone: a contract of a newer version makes no other policy."""
    return network_hash(read_onnx(path))
