"""Models that share one height field. It is most of a model's memory, and worlds only read it."""

from __future__ import annotations

import copy
import ctypes
from collections.abc import Callable
from typing import Any

import mujoco
import numpy as np


def without_heights(compile_model: Callable[[], mujoco.MjModel], spec: mujoco.MjSpec) -> mujoco.MjModel | None:
    """Return the model with a height field of four points, for :func:`copy_with_heights`.

    Args:
        compile_model: Compiles ``spec`` to a model.
        spec: Left as it was.

    Returns:
        None if there is no height field.
    """
    if len(spec.hfields) != 1:
        return None
    field = spec.hfields[0]
    kept = field.nrow, field.ncol, np.array(field.userdata)
    try:
        field.nrow, field.ncol, field.userdata = 2, 2, np.array([0.0, 0.0, 0.0, 1.0])
        return compile_model()
    finally:
        field.nrow, field.ncol, field.userdata = kept


def copy_with_heights(small: mujoco.MjModel, owner: mujoco.MjModel) -> mujoco.MjModel:
    """Return a copy of ``small`` that reads the height field of ``owner``, which must outlive it."""
    model = copy.copy(small)
    pointer = ctypes.c_size_t.from_address(model._address + pointer_offset(model, "hfield_data"))
    # A model frees the one block that its own arrays are in; what this points to stays the owner's.
    pointer.value = owner.hfield_data.__array_interface__["data"][0]
    model.hfield_nrow[:], model.hfield_ncol[:] = owner.hfield_nrow, owner.hfield_ncol
    return model


def pointer_offset(struct: Any, name: str) -> int:
    """Return where a C struct of MuJoCo has the pointer to one of its arrays, which must not be empty [bytes]."""
    address = getattr(struct, name).__array_interface__["data"][0]
    words, found = (ctypes.c_size_t * 2**20).from_address(struct._address), 0
    while words[found] != address:
        found += 1
    # The pointer of an empty array is that of the next one.
    while words[found + 1] == address:
        found += 1
    return found * ctypes.sizeof(ctypes.c_size_t)
