"""Networks in onnxruntime, without a file and a contract."""

import io

import onnxruntime
import torch


def onnx_session(module) -> onnxruntime.InferenceSession:
    """Export a policy's ``as_onnx`` module as it is shipped, and open it."""
    file = io.BytesIO()
    torch.onnx.export(
        module, module.get_dummy_inputs(), file, input_names=module.input_names, output_names=module.output_names,
        dynamic_axes={name: {0: "batch"} for name in (*module.input_names, *module.output_names)}, dynamo=False,
    )  # fmt: skip
    return onnxruntime.InferenceSession(file.getvalue())
