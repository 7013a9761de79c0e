"""Exports a checkpoint's student to ONNX: `python scripts/export.py checkpoint=model.pt [output=policy.onnx]`."""

from __future__ import annotations

from legged_cts.training import ctrl_c  # noqa: F401

# isort: split
import sys
from dataclasses import dataclass, field

from legged_cts.deploy.words import need_file, option, run_words


@dataclass(frozen=True)
class ExportOptions:
    """The words of this script."""

    checkpoint: str = field(metadata={"help": "checkpoint of a training run, or the run's folder"})
    output: str | None = option(None, "ONNX file; none is policy.onnx beside the checkpoint")

    def __post_init__(self) -> None:
        """Refuse a checkpoint that is not there."""
        need_file("checkpoint", self.checkpoint)


def export(options: ExportOptions) -> None:
    """Export, and say what came of it."""
    # Late, because a wrong word should be answered before torch is imported.
    from legged_cts.export.checkpoint import export_checkpoint

    path, contract = export_checkpoint(options.checkpoint, options.output)
    print(f"{path}: {contract.robot}, {contract.algorithm}, {contract.trained_steps} steps")
    print(f"largest difference between torch and onnxruntime: {contract.parity_error:.2e}")


def main(argv: list[str]) -> int:
    """Returns the exit status; a wrong word or checkpoint is one line on stderr."""
    return run_words("export", __doc__, ExportOptions, export, argv, trust=True)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
