"""Models that share one height field. It is most of a model's memory, and worlds only read it."""

from __future__ import annotations

import copy
import ctypes
from collections.abc import Callable

import mujoco
import numpy as np


def without_heights(compile_model: Callable[[], mujoco.MjModel], spec: mujoco.MjSpec) -> mujoco.MjModel | None:
    """Return the model with a height field of four points, for :func:`copy_with_heights`.

    Args:
        compile_model: Compiles ``spec`` to a model.
        spec: Left as it was.

    Returns:
        None if there is no height field, or if MuJoCo lays out its models in a way that is not understood.
    """
    if len(spec.hfields) != 1:
        return None
    field = spec.hfields[0]
    kept = field.nrow, field.ncol, np.array(field.userdata)
    try:
        field.nrow, field.ncol, field.userdata = 2, 2, np.array([0.0, 0.0, 0.0, 1.0])
        model = compile_model()
    finally:
        field.nrow, field.ncol, field.userdata = kept
    return None if _pointer_to_heights(model) is None else model


def copy_with_heights(small: mujoco.MjModel, owner: mujoco.MjModel) -> mujoco.MjModel:
    """Return a copy of ``small`` that reads the height field of ``owner``, which must outlive it."""
    model = copy.copy(small)
    pointer = _pointer_to_heights(model)
    assert pointer is not None
    # A model frees the one block that its own arrays are in; what this points to stays the owner's.
    pointer.value = owner.hfield_data.__array_interface__["data"][0]
    model.hfield_nrow[:], model.hfield_ncol[:] = owner.hfield_nrow, owner.hfield_ncol
    return model


def _pointer_to_heights(model: mujoco.MjModel) -> ctypes.c_uint64 | None:
    """Return the member of the C struct that points to the heights, None if it cannot be told."""
    address = model.hfield_data.__array_interface__["data"][0]
    # The pointers to arrays stand side by side in the struct, this one well before its end.
    words = (ctypes.c_uint64 * 1024).from_address(model._address)
    found = [index for index, word in enumerate(words) if word == address]
    if len(found) != 1:
        return None
    return ctypes.c_uint64.from_address(model._address + 8 * found[0])
