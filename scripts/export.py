"""Exports a checkpoint's student to ONNX: `python scripts/export.py checkpoint=model.pt [output=policy.onnx]`.

With `output=<name>.pt` it writes a small checkpoint instead: the networks alone, to play, fine-tune and share.
"""

from __future__ import annotations

from legged_cts.training import ctrl_c  # noqa: F401

# isort: split
import sys
from dataclasses import dataclass, field

from legged_cts.deploy.words import need_checkpoint, option, run_words


@dataclass(frozen=True)
class ExportOptions:
    """The words of this script."""

    checkpoint: str = field(metadata={"help": "checkpoint of a training run, or the run's folder"})
    output: str | None = option(None, "ONNX file, or .pt for the networks alone; none is policy.onnx beside it")

    def __post_init__(self) -> None:
        """Refuse a checkpoint that is not there, and an output that is neither."""
        need_checkpoint(self.checkpoint)
        if self.output is not None and not self.output.endswith((".onnx", ".pt")):
            raise ValueError(f"output: the file must end in .onnx or .pt, got {self.output}")


def export(options: ExportOptions) -> None:
    """Export, and say what came of it."""
    # Late, because a wrong word should be answered before torch is imported.
    from legged_cts.export.checkpoint import export_checkpoint
    from legged_cts.export.weights import export_weights

    if options.output is not None and options.output.endswith(".pt"):
        path = export_weights(options.checkpoint, options.output)
        print(f"{path}: the networks alone, {path.stat().st_size / 1e6:.1f} MB; checkpoint={path} begins from them")
        return
    path, contract = export_checkpoint(options.checkpoint, options.output)
    print(f"{path}: {contract.robot}, {contract.algorithm}, {contract.trained_steps} steps")
    print(f"largest difference between torch and onnxruntime: {contract.parity_error:.2e}")


def main(argv: list[str]) -> int:
    """Returns the exit status; a wrong word or checkpoint is one line on stderr."""
    return run_words("export", __doc__, ExportOptions, export, argv, trust=True)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
