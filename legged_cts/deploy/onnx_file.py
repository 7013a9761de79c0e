"""An ONNX file of a stranger: read without the onnx package, kept within bounds, and known by the hash of its network.

The file is a protocol buffer, https://onnx.ai/onnx/repo-docs/IR.html; the numbers below are those of onnx.proto3.
"""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import onnxruntime

from legged_cts.trust.plain import read_bounded, show

MAX_FILE = 256 * 2**20
MAX_MEMORY = 1 * 2**30
"""Bytes that onnxruntime may use for all networks of a process."""
MAX_NODES = 5000
FIRST_RUN_S = 5.0
"""A network that takes longer for one step is no policy."""

_GRAPH, _METADATA, _FUNCTIONS = 7, 14, 25
_NODE, _INITIALIZER, _SPARSE = 1, 5, 15
_OP_TYPE, _ATTRIBUTE, _DOMAIN = 4, 5, 7
_ATTRIBUTE_TENSOR, _SUBGRAPHS = 5, (6, 11)
_EXTERNAL, _LOCATION = 13, 14

OPERATORS = frozenset(
    "Abs Add ArgMax Cast Celu Clip Concat Constant ConstantOfShape Div Dropout Einsum Elu Equal Erf Exp Expand Flatten "
    "GRU Gather Gelu Gemm Greater GreaterOrEqual HardSwish Identity LSTM LayerNormalization LeakyRelu Less LessOrEqual "
    "Log MatMul Max Mean Min Mish Mul Neg Not Or And Pow RNN Range Reciprocal ReduceL2 ReduceMax ReduceMean ReduceMin "
    "ReduceSum ReduceSumSquare Relu Reshape Selu Shape Sigmoid Sign Slice Softmax Softplus Split Sqrt Squeeze Sub Sum "
    "Tanh Tile TopK Transpose Unsqueeze Where".split()
)
"""What networks are made of; none of them repeats a part, reads a file or is anybody's own."""


def read_onnx(path: Path) -> bytes:
    """Read an ONNX file and check what it is made of.

    Raises:
        ValueError: If it is too large, no ONNX file, or has an operator or a reference that no policy has.
        OSError: If it cannot be read.
    """
    data = read_bounded(path, MAX_FILE)
    nodes = 0
    for number, part in _fields(memoryview(data)):
        if number == _FUNCTIONS:
            raise ValueError("it defines functions, which no policy does")
        if number == _GRAPH:
            for inner, content in _fields(part):
                if inner == _NODE:
                    nodes += 1
                    _check_node(content)
                elif inner == _INITIALIZER:
                    _check_tensor(content)
                elif inner == _SPARSE:
                    raise ValueError("it holds sparse weights, which no policy does")
    if not 0 < nodes <= MAX_NODES:
        raise ValueError(f"it has {nodes} operators; a policy has at least one and at most {MAX_NODES}")
    return data


def network_hash(data: bytes) -> str:
    """The sha256 of all that an ONNX file computes with, which is all but its metadata; 64 hex digits."""
    digest = hashlib.sha256()
    for number, part in _fields(memoryview(data)):
        if number != _METADATA:
            digest.update(f"{number}:{len(part)}:".encode())
            digest.update(part)
    return digest.hexdigest()


def open_session(data: bytes) -> onnxruntime.InferenceSession:
    """Start onnxruntime on one thread, with bounded memory."""
    options = onnxruntime.SessionOptions()
    # The networks are small: handing work to threads costs more than it saves.
    options.intra_op_num_threads = 1
    options.inter_op_num_threads = 1
    options.log_severity_level = 4  # what fails is raised, too
    _bound_memory()
    options.add_session_config_entry("session.use_env_allocators", "1")
    # From its bytes, so that it has no folder to read other files from.
    return onnxruntime.InferenceSession(data, options, providers=["CPUExecutionProvider"])


@cache
def _bound_memory() -> None:
    """Bounds what all networks may use. Once in a process: onnxruntime 1.22 refuses a second time."""
    info = onnxruntime.OrtMemoryInfo(
        "Cpu", onnxruntime.OrtAllocatorType.ORT_ARENA_ALLOCATOR, 0, onnxruntime.OrtMemType.DEFAULT
    )
    onnxruntime.create_and_register_allocator(info, onnxruntime.OrtArenaCfg({"max_mem": MAX_MEMORY}))


def first_run(session: onnxruntime.InferenceSession, outputs: list[str], feed: dict[str, Any]) -> list[Any]:
    """Run a network once, for at most some seconds.

    Raises:
        Exception: What onnxruntime raises, also if it takes too long.
    """
    options = onnxruntime.RunOptions()

    def end() -> None:
        options.terminate = True

    timer = threading.Timer(FIRST_RUN_S, end)
    timer.start()
    try:
        return list(session.run(outputs, feed, options))
    finally:
        timer.cancel()


def _check_node(node: memoryview) -> None:
    for number, content in _fields(node):
        if number == _OP_TYPE and bytes(content).decode(errors="replace") not in OPERATORS:
            raise ValueError(
                f"it has the operator {show(bytes(content).decode(errors='replace'))}, which no policy has"
            )
        if number == _DOMAIN and bytes(content) not in (b"", b"ai.onnx"):
            raise ValueError("it has operators of other domains, which no policy has")
        if number == _ATTRIBUTE:
            for inner, value in _fields(content):
                if inner in _SUBGRAPHS:
                    raise ValueError("it has graphs within graphs, which no policy has")
                if inner == _ATTRIBUTE_TENSOR:
                    _check_tensor(value)


def _check_tensor(tensor: memoryview) -> None:
    for number, content in _fields(tensor):
        if number == _EXTERNAL or (number == _LOCATION and bytes(content) != b"\0"):
            raise ValueError("its weights lie in another file; a policy is one file")


def _fields(data: memoryview) -> Iterator[tuple[int, memoryview]]:
    """The fields of a message: number and content, that of a number being its bytes."""
    at = 0
    while at < len(data):
        tag, at = _varint(data, at)
        kind = tag & 7
        if kind == 0:
            length = _varint(data, at)[1] - at
        elif kind == 2:
            length, at = _varint(data, at)
        elif kind in (1, 5):
            length = 8 if kind == 1 else 4
        else:
            raise ValueError("it is no protocol buffer")
        if at + length > len(data):
            raise ValueError("it ends in the middle")
        yield tag >> 3, data[at : at + length]
        at += length


def _varint(data: memoryview, at: int) -> tuple[int, int]:
    value = shift = 0
    while at < len(data) and shift < 64:
        byte = data[at]
        value |= (byte & 0x7F) << shift
        at, shift = at + 1, shift + 7
        if not byte & 0x80:
            return value, at
    raise ValueError("it is no protocol buffer")
