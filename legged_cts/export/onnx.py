"""Writes a policy as one ONNX file: network, contract and proof that both compute the same."""

from __future__ import annotations

import copy
import dataclasses
import io
import os
import tempfile
import warnings
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import torch
from torch import nn

from legged_cts.deploy.contract import CONTRACT_KEY, PolicyContract
from legged_cts.deploy.policy import OnnxPolicy

OPSET = 18
PARITY_SAMPLES = 256
PARITY_TOLERANCE = 1e-4


class ParityError(RuntimeError):
    """The exported policy does not compute what the trained one does."""


def export_policy(policy: nn.Module, contract: PolicyContract, path: str | Path) -> PolicyContract:
    """Exports a student policy; the file appears only once it has been checked.

    Args:
        policy: module with forward(proprioception [B, n], history [B, H, n]) -> actions [B, d]. It is not changed. If
            it has an `as_onnx` method, the module this returns is exported in its place.
        contract: what the policy was trained on; its `parity_error` is measured here and replaced.
        path: ONNX file to write; its folder is made.

    Returns:
        The contract as it stands in the file.

    Raises:
        ParityError: if onnxruntime's actions differ from torch's by more than 1e-4 on random inputs.
        ContractError: if the policy's shapes are not the contract's.
    """
    path = Path(path)
    as_onnx = getattr(policy, "as_onnx", None)
    module: nn.Module = as_onnx() if callable(as_onnx) else copy.deepcopy(policy)  # type: ignore[assignment]
    module = module.cpu().eval()
    inputs = random_inputs(contract, 2)
    buffer = io.BytesIO()
    with warnings.catch_warnings():
        # The tracing exporter is deprecated but needs nothing beyond torch and onnx.
        warnings.simplefilter("ignore", DeprecationWarning)
        torch.onnx.export(
            module,
            inputs,
            buffer,  # type: ignore[arg-type]
            input_names=["proprioception", "history"],
            output_names=["actions"],
            dynamic_axes={name: {0: "batch"} for name in ("proprioception", "history", "actions")},
            opset_version=OPSET,
            dynamo=False,
        )
    model = onnx.load_model_from_string(buffer.getvalue())
    _declare_inputs(model, contract)
    contract = dataclasses.replace(contract, parity_error=parity(module, model.SerializeToString(), contract))
    onnx.helper.set_model_props(model, {CONTRACT_KEY: contract.to_json()})
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, draft = tempfile.mkstemp(suffix=".onnx", prefix=f".{path.stem}-", dir=path.parent)
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(model.SerializeToString())
        written = OnnxPolicy(draft).contract
        # mkstemp makes files for their owner alone.
        os.chmod(draft, 0o644)
        os.replace(draft, path)
    except BaseException:
        Path(draft).unlink(missing_ok=True)
        raise
    return written


def parity(module: nn.Module, onnx_bytes: bytes, contract: PolicyContract) -> float:
    """The largest absolute difference between torch's and onnxruntime's actions on random inputs.

    Args:
        module: what was exported.
        onnx_bytes: the ONNX model.
        contract: gives the inputs' sizes.

    Raises:
        ParityError: if the difference is above 1e-4 or not a number.
    """
    session = onnxruntime.InferenceSession(onnx_bytes, providers=["CPUExecutionProvider"])
    proprioception, history = random_inputs(contract, PARITY_SAMPLES)
    with torch.inference_mode():
        expected = module(proprioception, history).numpy()

    def run(p: torch.Tensor, h: torch.Tensor) -> np.ndarray:
        return np.asarray(session.run(["actions"], {"proprioception": p.numpy(), "history": h.numpy()})[0])

    batch = run(proprioception, history)
    # A robot asks for one action at a time.
    single = np.concatenate([run(p[None], h[None]) for p, h in zip(proprioception, history, strict=True)])
    for name, actions in (("a batch", batch), ("single inputs", single)):
        if actions.shape != expected.shape:
            raise ParityError(f"on {name} onnxruntime gives the shape {actions.shape}, torch {expected.shape}")
    error = float(max(np.abs(batch - expected).max(), np.abs(single - expected).max()))
    if not error <= PARITY_TOLERANCE:
        raise ParityError(f"onnxruntime's actions differ from torch's by {error:.3g}, more than {PARITY_TOLERANCE}")
    return error


def random_inputs(contract: PolicyContract, count: int) -> tuple[torch.Tensor, torch.Tensor]:
    """The same normal inputs on every call: proprioception [count, n] and history [count, H, n]."""
    generator = torch.Generator().manual_seed(0)
    n = contract.observation_size
    history = torch.randn(count, contract.history_length, n, generator=generator)
    return history[:, -1].clone(), history


def _declare_inputs(model: onnx.ModelProto, contract: PolicyContract) -> None:
    """Adds the inputs which torch leaves out because the policy does not read them: all policies are called alike."""
    n = contract.observation_size
    present = {entry.name for entry in model.graph.input}
    for name, shape in (("proprioception", [n]), ("history", [contract.history_length, n])):
        if name not in present:
            entry = onnx.helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, ["batch", *shape])
            model.graph.input.append(entry)
