"""Contacts with height fields for MuJoCo's C engine: once for every place that is nearest, not for every triangle.

MuJoCo takes a height field for prisms and collides each with a geom: a foot of 2 cm on level ground of 5 cm cells
stands on three of them, and every contact more makes the constraint solver slower. Here a contact of a sphere is a
local minimum of the distance from its centre to the surface: one on level ground and on an edge, two in the corner
below a step. Spheres find risers upright (:mod:`legged_cts.terrain.risers`), where MuJoCo has ramps as wide as a cell.
"""
# Numba compiles these functions. They are in one file because its cache looks no further; points are tuples, because
# arrays would be allocated.

from __future__ import annotations

import contextlib
import ctypes
import math
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import mujoco
import numpy as np
from llvmlite import binding, ir
from numba import carray, cfunc, njit, types
from numba.extending import intrinsic

from legged_cts.physics.shared_heights import pointer_offset
from legged_cts.terrain.risers import LEAN, STEEP

MOST = 8
"""Contacts of one sphere, at most."""
_CANDIDATES = 64
_SAME = 1e-8
"""Points closer than this are one [m]."""
_KINDS = int(mujoco.mjtGeom.mjNGEOMTYPES)
_FIELD, _SPHERE, _CAPSULE, _BOX = (
    int(getattr(mujoco.mjtGeom, f"mjGEOM_{name}")) for name in ("HFIELD", "SPHERE", "CAPSULE", "BOX")
)
_RECORD = 10
"""Doubles of an ``mjPreContact``: distance, position, normal, tangent."""
_SIGNATURE = types.int32(types.uintp, types.uintp, types.uintp, types.int32, types.int32, types.float64)
_PROBE = """
<mujoco>
  <asset><hfield name="field" nrow="2" ncol="2" size="1 1 1 1"/></asset>
  <worldbody><geom type="hfield" hfield="field"/><body><freejoint/><geom size="0.1"/></body></worldbody>
</mujoco>
"""
_OF_MODEL = ("geom_dataid", "geom_size", "hfield_size", "hfield_nrow", "hfield_ncol", "hfield_adr", "hfield_data")
_OF_DATA = ("geom_xpos", "geom_xmat")
_OFFSETS = np.zeros(len(_OF_MODEL + _OF_DATA), dtype=np.uintp)
"""Where MuJoCo's structs have their pointers to these arrays [bytes]."""
_WHICH, _SIZE, _FIELD_SIZE, _ROWS, _COLUMNS, _START, _HEIGHTS, _PLACE, _TURN = range(len(_OFFSETS))


@contextlib.contextmanager
def height_contacts() -> Iterator[None]:
    """Let MuJoCo, in the whole process, ask us what touches height fields, as long as the context lasts.

    ``mjCOLLISIONFUNC`` is the table that MuJoCo offers for it. Capsules and boxes that are near the ground stay its own
    affair; that they are not is found out here, in a tenth of the time.
    """
    table, functions = _table(), _functions()
    before = {kind: table[kind] for kind in functions}
    for kind, function in functions.items():
        table[kind] = function.address
    try:
        yield
    finally:
        for kind, address in before.items():
            table[kind] = address


@cache
def _table() -> Any:
    """The row of ``mjCOLLISIONFUNC`` for height fields, by the other geom's kind."""
    folder = Path(mujoco.__file__).parent
    library = min([*folder.glob("libmujoco*.so*"), *folder.glob("libmujoco*.dylib"), *folder.glob("mujoco.dll")])
    return (ctypes.c_size_t * _KINDS * _KINDS).in_dll(ctypes.CDLL(str(library)), "mjCOLLISIONFUNC")[_FIELD]


@cache
def _functions() -> dict[int, Any]:
    """Functions for ``mjCOLLISIONFUNC`` by the kind of the geom that meets the height field."""
    model = mujoco.MjModel.from_xml_string(_PROBE)
    data = mujoco.MjData(model)
    _OFFSETS[:] = [pointer_offset(model, name) for name in _OF_MODEL] + [
        pointer_offset(data, name) for name in _OF_DATA
    ]
    # Compiled code is kept on disk, so what belongs to this process has names there.
    binding.add_symbol("legged_cts_offsets", _OFFSETS.ctypes.data)
    binding.add_symbol("legged_cts_capsule", _table()[_CAPSULE])
    binding.add_symbol("legged_cts_box", _table()[_BOX])
    functions = {_SPHERE: _sphere, _CAPSULE: _capsule, _BOX: _box}
    return {kind: cfunc(_SIGNATURE, cache=True)(function) for kind, function in functions.items()}


_stock_capsule = types.ExternalFunction("legged_cts_capsule", _SIGNATURE)
_stock_box = types.ExternalFunction("legged_cts_box", _SIGNATURE)


def _sphere(model, data, result, field, sphere, margin):
    heights, columns, size, place, turn = _field(model, data, field)
    found = np.empty((MOST, 7))
    centre, radius = _relative(data, sphere, place, turn), _sizes(model, sphere)[0]
    count = sphere_contacts(heights, columns, size, centre, radius, margin, found)
    records = carray(_doubles(result), MOST * _RECORD)
    for one in range(count):
        contact, record = found[one], records[one * _RECORD :]
        record[0] = contact[0]
        for i in range(3):
            record[1 + i], record[4 + i], record[7 + i] = place[i], 0.0, 0.0
            for j in range(3):
                record[1 + i] += turn[3 * i + j] * contact[1 + j]
                record[4 + i] += turn[3 * i + j] * contact[4 + j]
    return count


def _capsule(model, data, result, field, capsule, margin):
    heights, columns, size, place, turn = _field(model, data, field)
    radius, half, _ = _sizes(model, capsule)
    axis = _axis(data, capsule, 2, turn)
    extent = (radius + half * abs(axis[0]), radius + half * abs(axis[1]), radius + half * abs(axis[2]))
    if may_touch(heights, columns, size, _relative(data, capsule, place, turn), extent, margin):
        return _stock_capsule(model, data, result, field, capsule, margin)
    return 0


def _box(model, data, result, field, box, margin):
    heights, columns, size, place, turn = _field(model, data, field)
    half = _sizes(model, box)
    x, y, z = _axis(data, box, 0, turn), _axis(data, box, 1, turn), _axis(data, box, 2, turn)
    extent = (
        half[0] * abs(x[0]) + half[1] * abs(y[0]) + half[2] * abs(z[0]),
        half[0] * abs(x[1]) + half[1] * abs(y[1]) + half[2] * abs(z[1]),
        half[0] * abs(x[2]) + half[1] * abs(y[2]) + half[2] * abs(z[2]),
    )
    if may_touch(heights, columns, size, _relative(data, box, place, turn), extent, margin):
        return _stock_box(model, data, result, field, box, margin)
    return 0


@njit(cache=True)
def _field(model, data, geom) -> Any:
    """Heights [points], number of columns, size, place [3] and turn [9] of a geom that is a height field."""
    which = _ints(_array(model, _WHICH))[geom]
    columns, points = _ints(_array(model, _COLUMNS))[which], _ints(_array(model, _ROWS))[which]
    heights = _floats(_array(model, _HEIGHTS) + 4 * _ints(_array(model, _START))[which])
    size = _doubles(_array(model, _FIELD_SIZE) + 32 * which)
    place, turn = _doubles(_array(data, _PLACE) + 24 * geom), _doubles(_array(data, _TURN) + 72 * geom)
    return carray(heights, points * columns), columns, (size[0], size[1], size[2]), place, turn


@njit(cache=True)
def _sizes(model, geom) -> Any:
    size = _doubles(_array(model, _SIZE) + 24 * geom)
    return size[0], size[1], size[2]


@njit(cache=True)
def _relative(data, geom, place, turn):
    """Place of a geom in the frame of another, of which ``place`` and ``turn`` are [3] and [9]."""
    at = _doubles(_array(data, _PLACE) + 24 * geom)
    return _turned((at[0] - place[0], at[1] - place[1], at[2] - place[2]), turn)


@njit(cache=True)
def _axis(data, geom, axis, turn) -> Any:
    """An axis of a geom in a frame of which ``turn`` is [9]."""
    axes = _doubles(_array(data, _TURN) + 72 * geom)
    return _turned((axes[axis], axes[3 + axis], axes[6 + axis]), turn)


@njit(cache=True)
def _turned(a, turn):
    return (
        turn[0] * a[0] + turn[3] * a[1] + turn[6] * a[2],
        turn[1] * a[0] + turn[4] * a[1] + turn[7] * a[2],
        turn[2] * a[0] + turn[5] * a[1] + turn[8] * a[2],
    )


@njit(cache=True)
def _array(struct, which):
    """Address of one of the arrays of a C struct."""
    return _words(struct + _offset_of(which))[0]  # type: ignore[call-arg]  # Numba gives the first argument


@intrinsic
def _offset_of(_typing, which):
    def generate(_context, builder, _signature, arguments):
        name, table = "legged_cts_offsets", ir.ArrayType(ir.IntType(64), len(_OFFSETS))
        known = builder.module.globals.get(name) or ir.GlobalVariable(builder.module, table, name)
        return builder.load(builder.gep(known, [ir.Constant(ir.IntType(64), 0), arguments[0]]))

    return types.uintp(types.intp), generate


def _pointer_to(element: Any) -> Any:
    pointer = types.CPointer(element)

    @intrinsic
    def of(_typing, address):
        def generate(context, builder, _signature, arguments):
            return builder.inttoptr(arguments[0], context.get_value_type(pointer))

        return pointer(types.uintp), generate

    return of


_words, _ints = _pointer_to(types.uintp), _pointer_to(types.int32)
_floats, _doubles = _pointer_to(types.float32), _pointer_to(types.float64)


@njit(cache=True)
def sphere_contacts(heights, columns, size, centre, radius, margin, contacts):
    """Find where a sphere touches a height field.

    The surface is MuJoCo's, but for its upright risers: rows along y, columns along x, the origin in the middle, every
    cell of two triangles, split from its corner of low x and y to that of high x and y. A centre below the surface
    leaves by the shortest way.

    Args:
        heights: float32 [rows * columns], from 0 to 1.
        columns: Number of columns.
        size: Half lengths along x and y, height of a 1 [m], three numbers.
        centre: Of the sphere, in the frame of the field [m], three numbers.
        radius: Of the sphere [m].
        margin: Largest distance that is still a contact [m].
        contacts: float64 [MOST, 7], written: distance (negative inside), point half-way between the surfaces, normal
            from the field to the sphere.

    Returns:
        Number of contacts.
    """
    rows = len(heights) // columns
    step_x, step_y = 2.0 * size[0] / (columns - 1), 2.0 * size[1] / (rows - 1)
    reach = radius + margin
    # From here on the corner of low x and y is the origin.
    at = (centre[0] + size[0], centre[1] + size[1], centre[2])
    if at[0] < -reach or at[1] < -reach or at[0] > 2.0 * size[0] + reach or at[1] > 2.0 * size[1] + reach:
        return 0
    # Points at a riser are moved by less than half a cell.
    low_c, high_c = _cells(at[0], reach + 0.5 * step_x, step_x, columns)
    low_r, high_r = _cells(at[1], reach + 0.5 * step_y, step_y, rows)
    if at[2] - reach > _highest(heights, columns, low_r, high_r, low_c, high_c) * size[2]:
        return 0
    near = np.empty((_CANDIDATES, 13))
    cells = (low_r, high_r, low_c, high_c)
    found, first, inside = _triangles_near(near, heights, columns, size, (step_x, step_y), cells, at, reach)
    if found == 0:
        return 0
    if inside or near[first, 12] < _SAME:
        distance, point = near[first, 12], _point(near[first], 9)
        if distance < _SAME:
            normal = _upward(_point(near[first], 0), _point(near[first], 3), _point(near[first], 6))
        else:
            normal = _times(1.0 / distance, _minus(point, at))
        _write(contacts[0], point, normal, -distance - radius, size)
        return 1
    count = 0
    for one in range(found):
        if count < MOST and _is_minimum(near, one, found, at):
            point, distance = _point(near[one], 9), near[one, 12]
            _write(contacts[count], point, _times(1.0 / distance, _minus(at, point)), distance - radius, size)
            count += 1
    return count


@njit(cache=True)
def _triangles_near(near, heights, columns, size, steps, cells, at, reach):
    """Write corners, nearest point, distance of each triangle in reach; how many, the nearest, if ``at`` is below."""
    found, first, inside = 0, 0, False
    steep = _is_steep(heights, columns, size, steps, cells)
    for row in range(cells[0], cells[1] + 1):
        for column in range(cells[2], cells[3] + 1):
            for half in range(2):
                # Two corners of the diagonal, and the corner on either side of it.
                a = _corner(heights, columns, size, steps, row, column, steep)
                b = _corner(heights, columns, size, steps, row + 1, column + 1, steep)
                c = _corner(heights, columns, size, steps, row + 1 - half, column + half, steep)
                below = _is_below(at, a, b, c)
                point = _nearest(at, a, b, c)
                distance = _length(_minus(at, point))
                inside |= below
                if (distance <= reach or below) and found < _CANDIDATES:
                    _keep(near[found], a, b, c, point, distance)
                    if distance < near[first, 12]:
                        first = found
                    found += 1
    return found, first, inside


@njit(cache=True)
def may_touch(heights, columns, size, centre, extent, margin):
    """Whether a box around ``centre`` with half lengths ``extent`` reaches the ground; else as above."""
    bottom = centre[2] - extent[2] - margin
    if bottom > size[2]:
        return False
    rows = len(heights) // columns
    step_x, step_y = 2.0 * size[0] / (columns - 1), 2.0 * size[1] / (rows - 1)
    low_c, high_c = _cells(centre[0] + size[0], extent[0] + margin, step_x, columns)
    low_r, high_r = _cells(centre[1] + size[1], extent[1] + margin, step_y, rows)
    return _highest(heights, columns, low_r, high_r, low_c, high_c) * size[2] >= bottom


@njit(cache=True)
def _cells(at, reach, step, points):
    """First and last cell in reach."""
    low = min(max(int(math.floor((at - reach) / step)), 0), points - 2)
    return low, min(max(int(math.floor((at + reach) / step)), low), points - 2)


@njit(cache=True)
def _is_steep(heights, columns, size, steps, cells):
    """Whether there may be a riser between corners of cells or their neighbours."""
    low, high = heights[cells[0] * columns + cells[2]], heights[cells[0] * columns + cells[2]]
    for row in range(max(cells[0] - 1, 0), min(cells[1] + 3, len(heights) // columns)):
        for column in range(max(cells[2] - 1, 0), min(cells[3] + 3, columns)):
            low = min(low, heights[row * columns + column])
            high = max(high, heights[row * columns + column])
    return (high - low) * size[2] > STEEP * min(steps[0], steps[1])


@njit(cache=True)
def _corner(heights, columns, size, steps, row, column, steep):
    """A point of the field, leant towards the risers beside it."""
    x, y = float(column), float(row)
    if steep:
        leaning = _leaning(heights, columns, row, column, STEEP * steps[0] / size[2], STEEP * steps[1] / size[2])
        x, y = x + LEAN * leaning[0], y + LEAN * leaning[1]
    return x * steps[0], y * steps[1], heights[row * columns + column] * size[2]


@njit(cache=True)
def _leaning(heights, columns, row, column, limit_x, limit_y):
    """What :func:`legged_cts.terrain.risers.leaning` says of one point; limits in the field's unit of height."""
    rows, at = len(heights) // columns, row * columns + column
    x, y = 0, 0
    for to_x in (-1, 1):
        for to_y in (-1, 1):
            in_x, in_y = 0 <= column + to_x < columns, 0 <= row + to_y < rows
            beside, above = at + to_x, at + to_y * columns
            riser_x = in_x and abs(heights[beside] - heights[at]) > limit_x
            riser_y = in_y and abs(heights[above] - heights[at]) > limit_y
            x, y = x + to_x * riser_x, y + to_y * riser_y
            if in_x and in_y and not riser_x and not riser_y:
                across = heights[beside + to_y * columns]
                if abs(across - heights[beside]) > limit_y and abs(across - heights[above]) > limit_x:
                    x, y = x + 2 * to_x, y + 2 * to_y
    return float(min(max(x, -1), 1)), float(min(max(y, -1), 1))


@njit(cache=True)
def _highest(heights, columns, low_r, high_r, low_c, high_c):
    """Greatest height of the corners of cells."""
    top = np.float32(0.0)
    for row in range(low_r, high_r + 2):
        for column in range(low_c, high_c + 2):
            top = max(top, heights[row * columns + column])
    return top


@njit(cache=True)
def _is_below(p, a, b, c):
    """Whether a triangle covers a point that is below it."""
    area = (b[0] - a[0]) * (c[1] - a[1]) - (b[1] - a[1]) * (c[0] - a[0])
    u = ((p[0] - a[0]) * (c[1] - a[1]) - (p[1] - a[1]) * (c[0] - a[0])) / area
    v = ((b[0] - a[0]) * (p[1] - a[1]) - (b[1] - a[1]) * (p[0] - a[0])) / area
    return u >= 0.0 and v >= 0.0 and u + v <= 1.0 and p[2] < a[2] + u * (b[2] - a[2]) + v * (c[2] - a[2])


@njit(cache=True)
def _nearest(p, a, b, c):
    """Point of a triangle that is nearest to ``p`` (Ericson 2005, Real-Time Collision Detection, 5.1.5)."""
    ab, ac, ap = _minus(b, a), _minus(c, a), _minus(p, a)
    d1, d2 = _dot(ab, ap), _dot(ac, ap)
    if d1 <= 0.0 and d2 <= 0.0:
        return a
    bp = _minus(p, b)
    d3, d4 = _dot(ab, bp), _dot(ac, bp)
    if d3 >= 0.0 and d4 <= d3:
        return b
    vc = d1 * d4 - d3 * d2
    if vc <= 0.0 and d1 >= 0.0 and d3 <= 0.0:
        return _plus(a, _times(d1 / (d1 - d3), ab))
    cp = _minus(p, c)
    d5, d6 = _dot(ab, cp), _dot(ac, cp)
    if d6 >= 0.0 and d5 <= d6:
        return c
    vb = d5 * d2 - d1 * d6
    if vb <= 0.0 and d2 >= 0.0 and d6 <= 0.0:
        return _plus(a, _times(d2 / (d2 - d6), ac))
    va = d3 * d6 - d5 * d4
    if va <= 0.0 and d4 - d3 >= 0.0 and d5 - d6 >= 0.0:
        return _plus(b, _times((d4 - d3) / ((d4 - d3) + (d5 - d6)), _minus(c, b)))
    total = va + vb + vc
    return _plus(a, _plus(_times(vb / total, ab), _times(vc / total, ac)))


@njit(cache=True)
def _is_minimum(near, one, found, at):
    """Whether no triangle that meets in a point leads nearer to the centre; of neighbours' same point, the first."""
    point = _point(near[one], 9)
    towards = _minus(at, point)
    for other in range(found):
        if other < one and _length(_minus(_point(near[other], 9), point)) < _SAME:
            return False
        a, b, c = _point(near[other], 0), _point(near[other], 3), _point(near[other], 6)
        if _length(_minus(_nearest(point, a, b, c), point)) < _SAME:
            for corner in (a, b, c):
                if _dot(_minus(corner, point), towards) > _SAME:
                    return False
    return True


@njit(cache=True)
def _keep(row, a, b, c, point, distance):
    for i in range(3):
        row[i], row[3 + i], row[6 + i], row[9 + i] = a[i], b[i], c[i], point[i]
    row[12] = distance


@njit(cache=True)
def _write(contact, point, normal, distance, size):
    contact[0] = distance
    for i in range(3):
        contact[1 + i] = point[i] + 0.5 * distance * normal[i]
        contact[4 + i] = normal[i]
    contact[1] -= size[0]
    contact[2] -= size[1]


@njit(cache=True)
def _upward(a, b, c):
    """Normal of a triangle that points up."""
    u, v = _minus(b, a), _minus(c, a)
    normal = (u[1] * v[2] - u[2] * v[1], u[2] * v[0] - u[0] * v[2], u[0] * v[1] - u[1] * v[0])
    length = _length(normal)
    return _times(1.0 / (length if normal[2] > 0.0 else -length), normal)


@njit(cache=True)
def _point(row, start):
    return row[start], row[start + 1], row[start + 2]


@njit(cache=True)
def _minus(a, b):
    return a[0] - b[0], a[1] - b[1], a[2] - b[2]


@njit(cache=True)
def _plus(a, b):
    return a[0] + b[0], a[1] + b[1], a[2] + b[2]


@njit(cache=True)
def _times(factor, a):
    return factor * a[0], factor * a[1], factor * a[2]


@njit(cache=True)
def _dot(a, b):
    return a[0] * b[0] + a[1] * b[1] + a[2] * b[2]


@njit(cache=True)
def _length(a):
    return math.sqrt(_dot(a, a))
