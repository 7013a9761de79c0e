"""Hydra's hook that gives a run a folder of its own before Hydra writes into it."""

from __future__ import annotations

from pathlib import Path
from typing import IO, Any

from hydra.experimental.callback import Callback
from omegaconf import DictConfig, OmegaConf, open_dict, read_write

from legged_cts.deploy.words import user_errors
from legged_cts.training.distributed import from_environment
from legged_cts.training.run_folder import FolderError, hold, new_folder


class HoldRunFolder(Callback):
    """Named in ``tasks/train.yaml`` under ``hydra.callbacks``.

    A new run's folder gets a suffix if somebody was faster in the same second; a folder that the command line names,
    as ``resume=`` does, is refused while a run is alive there.
    """

    def __init__(self) -> None:
        """Hold nothing yet."""
        self._held: IO[str] | None = None

    def on_run_start(self, config: DictConfig, **kwargs: Any) -> None:
        """Make and hold the folder of a single run, which is rank 0's on all processes."""
        self._take(config, "run", hold_it=True)

    def on_multirun_start(self, config: DictConfig, **kwargs: Any) -> None:
        """Make the folder of many runs; each of them holds its own."""
        self._take(config, "sweep", hold_it=False)

    def _take(self, config: DictConfig, kind: str, hold_it: bool) -> None:
        key = f"hydra.{kind}.dir"
        given = any(word.startswith(f"{key}=") for word in config.hydra.overrides.hydra)
        processes, folder = from_environment(), Path(str(OmegaConf.select(config, key)))
        with user_errors():
            if processes.is_main:
                folder = folder if given else new_folder(folder)
                if hold_it:
                    self._held = _hold(folder)
            folder = processes.all(folder)[0]
        node = config.hydra[kind]
        with read_write(node), open_dict(node):
            node.dir = str(folder)


def _hold(folder: Path) -> IO[str]:
    try:
        return hold(folder)
    except BlockingIOError as error:
        raise FolderError(f"{folder}: a run is alive in this folder; wait for its end, or stop it") from error
