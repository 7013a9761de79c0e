"""Writes a policy as one ONNX file: network, contract and proof that both compute the same."""

from __future__ import annotations

import copy
import dataclasses
import io
import os
import tempfile
import warnings
from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import torch
from torch import nn

from legged_cts.deploy.contract import CONTRACT_KEY, HASH_SINCE, ContractError, PolicyContract
from legged_cts.deploy.onnx_file import network_hash
from legged_cts.deploy.policy import OnnxPolicy, network_shapes

OPSET = 18
PARITY_SAMPLES = 256
PARITY_STEPS = 32
PARITY_TOLERANCE = 1e-4


Network = Callable[..., list[np.ndarray]]
"""From a network's inputs in order to its outputs in order."""


class ParityError(RuntimeError):
    """The exported policy does not compute what the trained one does."""


def export_policy(policy: nn.Module, contract: PolicyContract, path: str | Path) -> PolicyContract:
    """Exports a student policy; the file appears only once it has been checked.

    Args:
        policy: module with forward(proprioception [B, n], history [B, H, n]) -> actions [B, d], or, if its `state_size`
            is S > 0, forward(proprioception, history, state [B, S]) -> (actions, next state [B, S]). It is not changed.
            If it has an `as_onnx` method, the module this returns is exported in its place.
        contract: what the policy was trained on; its `parity_error` is measured here and replaced.
        path: ONNX file to write; its folder is made.

    Returns:
        The contract as it stands in the file.

    Raises:
        ParityError: if onnxruntime's outputs differ from torch's by more than 1e-4 on random inputs.
        ContractError: if the policy's shapes or its state are not the contract's.
    """
    path = Path(path)
    state_size = policy_state_size(policy)
    if state_size != contract.state_size:
        raise ContractError(f"state_size: {contract.state_size} in the contract but {state_size} in the policy")
    as_onnx = getattr(policy, "as_onnx", None)
    module: nn.Module = as_onnx() if callable(as_onnx) else copy.deepcopy(policy)  # type: ignore[assignment]
    module = module.cpu().eval()
    inputs, outputs = map(list, network_shapes(contract))
    buffer = io.BytesIO()
    with warnings.catch_warnings():
        # The tracing exporter is deprecated but needs nothing beyond torch and onnx.
        warnings.simplefilter("ignore", DeprecationWarning)
        # It warns that recurrent layers may be bound to the trace's batch size; the parity is measured with others.
        warnings.filterwarnings("ignore", "Exporting a model to ONNX with a batch_size other than 1", UserWarning)
        warnings.filterwarnings("ignore", category=torch.jit.TracerWarning, module=r"torch\.nn\.modules\.rnn")
        torch.onnx.export(
            module,
            random_inputs(contract, 2),
            buffer,  # type: ignore[arg-type]
            input_names=inputs,
            output_names=outputs,
            dynamic_axes={name: {0: "batch"} for name in (*inputs, *outputs)},
            opset_version=OPSET,
            dynamo=False,
        )
    model = onnx.load_model_from_string(buffer.getvalue())
    _declare_inputs(model, contract)
    contract = dataclasses.replace(contract, parity_error=parity(module, model.SerializeToString(), contract))
    write_contract(model, contract)
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


def write_contract(model: onnx.ModelProto, contract: PolicyContract) -> None:
    """Writes a contract with the hash of the network into an ONNX model, in place of what it had."""
    if contract.version >= HASH_SINCE:
        contract = dataclasses.replace(contract, network_hash=network_hash(model.SerializeToString()))
    onnx.helper.set_model_props(model, {CONTRACT_KEY: contract.to_json()})


def policy_state_size(policy: nn.Module) -> int:
    """Numbers in the state of a policy; 0 if it is feed-forward."""
    return getattr(policy, "state_size", 0)  # type: ignore[return-value]


def parity(module: nn.Module, onnx_bytes: bytes, contract: PolicyContract) -> float:
    """The largest absolute difference between torch's and onnxruntime's outputs on random inputs.

    Compared are a batch, single inputs, and for a recurrent policy a rollout from the initial state, in which each side
    goes on with its own state.

    Args:
        module: what was exported.
        onnx_bytes: the ONNX model.
        contract: gives the inputs' sizes.

    Raises:
        ParityError: if the difference is above 1e-4 or not a number.
    """
    session = onnxruntime.InferenceSession(onnx_bytes, providers=["CPUExecutionProvider"])
    inputs, outputs = map(list, network_shapes(contract))

    def torch_side(*values: np.ndarray) -> list[np.ndarray]:
        with torch.inference_mode():
            result = module(*map(torch.from_numpy, values))
        return [tensor.numpy() for tensor in (result if isinstance(result, tuple) else (result,))]

    def onnx_side(*values: np.ndarray) -> list[np.ndarray]:
        return [np.asarray(value) for value in session.run(outputs, dict(zip(inputs, values, strict=True)))]

    samples = [tensor.numpy() for tensor in random_inputs(contract, PARITY_SAMPLES)]
    expected = torch_side(*samples)
    # A robot asks for one action at a time.
    rows = [onnx_side(*(value[i : i + 1] for value in samples)) for i in range(PARITY_SAMPLES)]
    single = [np.concatenate(values) for values in zip(*rows, strict=True)]
    compared = [("a batch", expected, onnx_side(*samples)), ("single inputs", expected, single)]
    if contract.state_size:
        frames = [np.split(value, PARITY_STEPS) for value in samples[:-1]]
        steps = list(zip(*frames, strict=True))
        compared.append(("a rollout", _rollout(torch_side, steps, contract), _rollout(onnx_side, steps, contract)))
    error = float(np.max([_difference(*sides) for sides in compared]))
    if not error <= PARITY_TOLERANCE:
        raise ParityError(f"onnxruntime's outputs differ from torch's by {error:.3g}, more than {PARITY_TOLERANCE}")
    return error


def random_inputs(contract: PolicyContract, count: int) -> tuple[torch.Tensor, ...]:
    """The same normal inputs on every call: proprioception [count, n], history [count, H, n] and, for a recurrent
    policy, state [count, S]."""
    generator = torch.Generator().manual_seed(0)
    n, s = contract.observation_size, contract.state_size
    history = torch.randn(count, contract.history_length, n, generator=generator)
    inputs = history[:, -1].clone(), history
    return (*inputs, torch.randn(count, s, generator=generator)) if s else inputs


def _rollout(network: Network, steps: list[tuple[np.ndarray, ...]], contract: PolicyContract) -> list[np.ndarray]:
    """The outputs of a network over steps, the state fed back: actions [T, B, d] and states [T, B, S]."""
    results: list[list[np.ndarray]] = []
    state = np.zeros((len(steps[0][0]), contract.state_size), dtype=np.float32)
    for frames in steps:
        results.append(network(*frames, state))
        state = results[-1][1]
    return [np.stack(values) for values in zip(*results, strict=True)]


def _difference(where: str, expected: list[np.ndarray], got: list[np.ndarray]) -> float:
    shapes = [[value.shape for value in side] for side in (got, expected)]
    if shapes[0] != shapes[1]:
        raise ParityError(f"on {where} onnxruntime gives the shapes {shapes[0]}, torch {shapes[1]}")
    # Not Python's max, which drops a NaN that is not the first.
    return float(np.max([np.abs(a - b).max() for a, b in zip(expected, got, strict=True)]))


def _declare_inputs(model: onnx.ModelProto, contract: PolicyContract) -> None:
    """Adds the inputs which torch leaves out because the policy does not read them: all policies are called alike."""
    present = {entry.name for entry in model.graph.input}
    for name, shape in network_shapes(contract)[0].items():
        if name not in present:
            entry = onnx.helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, ["batch", *shape])
            model.graph.input.append(entry)
