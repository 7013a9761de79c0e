"""NVIDIA PhysX without Kit: the engine that checks on the CPU what MuJoCo trained."""

from __future__ import annotations

from types import ModuleType
from typing import Any

import warp as wp


class _UnpinnedWarp:
    """The ``warp`` module, except that CPU arrays are not pinned.

    Pinned memory needs a CUDA driver. isaaclab_ov asks for it even on a CPU-only machine, where Warp then fails to
    allocate; unpinned memory differs only in the speed of copies to a GPU that is not there.
    """

    def __init__(self, module: ModuleType) -> None:
        self._module = module

    def __getattr__(self, name: str) -> Any:
        return getattr(self._module, name)

    def zeros(self, *args: Any, pinned: bool = False, **kwargs: Any) -> wp.array:
        """Allocate like :func:`warp.zeros`, never pinned."""
        return self._module.zeros(*args, **kwargs)

    def empty(self, *args: Any, pinned: bool = False, **kwargs: Any) -> wp.array:
        """Allocate like :func:`warp.empty`, never pinned."""
        return self._module.empty(*args, **kwargs)


def ovphysx_cfg(device: str) -> Any:
    """Return the configuration of kit-less PhysX, made to work where there is no CUDA driver.

    Args:
        device: ``"cpu"`` or ``"cuda:N"``.
    """
    from isaaclab_ov.physics import OvPhysxCfg

    if device == "cpu" and not wp.is_cuda_available():
        from isaaclab_ov.assets.articulation import articulation, articulation_data

        for module in (articulation, articulation_data):
            if not isinstance(module.wp, _UnpinnedWarp):
                module.wp = _UnpinnedWarp(wp)
    return OvPhysxCfg()
