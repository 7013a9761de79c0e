"""From a checkpoint to a small one: the weights that act, without what only a resumed run needs."""

from __future__ import annotations

from pathlib import Path

from legged_cts.training.average import averaged
from legged_cts.training.checkpoint import latest_checkpoint, load_checkpoint, save_checkpoint

KEPT = ("config", "env_info", "iter", "total_steps", "previous_steps", "train_time", "stages", "git_revision")


def export_weights(path: str | Path, output: str | Path) -> Path:
    """Write a checkpoint that plays, exports, is evaluated and fine-tuned like the whole one, and cannot be resumed.

    Args:
        path: Checkpoint of a training, or the run's folder.
        output: File to write.

    Returns:
        The file.

    Raises:
        CheckpointError: If there is no such checkpoint.
        ValueError: If the output is there, and no small checkpoint.
        OSError: If the file cannot be written.
    """
    content = averaged(load_checkpoint(latest_checkpoint(path)))
    if Path(output).is_file() and not load_checkpoint(output).get("weights_only"):
        raise ValueError(f"output: {output} is a whole checkpoint, from which a training can go on: name another file")
    networks = {key: value for key, value in content.items() if key.endswith("_state_dict") and "optimizer" not in key}
    kept = {key: content[key] for key in KEPT if key in content}
    return save_checkpoint(output, {**kept, **networks, "weights_only": True})
