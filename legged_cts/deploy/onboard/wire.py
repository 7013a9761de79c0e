"""Unitree's messages as bytes: the layout of `unitree_go` and `unitree_hg`, and their CRC.

A message is a NumPy structure laid out as the C structure of Unitree's SDK, over which the CRC runs. On the wire (CDR)
the same numbers follow one another, each aligned to its size from the beginning; structures are not padded at their
end. Names and types of the fields are those of Unitree's interface definitions (github.com/unitreerobotics, BSD).
"""

from __future__ import annotations

import zlib
from collections.abc import Iterator
from functools import cache
from typing import Any

import numpy as np

from legged_cts.deploy.onboard.link import BUTTONS, Remote
from legged_cts.deploy.robot import Array

HEADER = b"\x00\x01\x00\x00"
"""Of every message: little-endian CDR."""


def _struct(**fields: Any) -> np.dtype:
    parts = [(name, *(kind if isinstance(kind, tuple) else (kind,))) for name, kind in fields.items()]
    return np.dtype(parts, align=True)


_GO_IMU = _struct(quaternion=("f4", 4), gyroscope=("f4", 3), accelerometer=("f4", 3), rpy=("f4", 3), temperature="u1")
_GO_MOTOR_STATE = _struct(
    mode="u1", q="f4", dq="f4", ddq="f4", tau_est="f4", q_raw="f4", dq_raw="f4", ddq_raw="f4", temperature="u1",
    lost="u4", reserve=("u4", 2),
)  # fmt: skip
_GO_BMS = _struct(
    version_high="u1", version_low="u1", status="u1", soc="u1", current="i4", cycle="u2", bq_ntc=("u1", 2),
    mcu_ntc=("u1", 2), cell_vol=("u2", 15),
)  # fmt: skip
_GO_MOTOR_CMD = _struct(mode="u1", q="f4", dq="f4", tau="f4", kp="f4", kd="f4", reserve=("u4", 3))
_GO_FRONT = {
    "head": ("u1", 2), "level_flag": "u1", "frame_reserve": "u1", "sn": ("u4", 2), "version": ("u4", 2),
    "bandwidth": "u2",
}  # fmt: skip
_HG_IMU = _struct(quaternion=("f4", 4), gyroscope=("f4", 3), accelerometer=("f4", 3), rpy=("f4", 3), temperature="i2")
_HG_MOTOR_STATE = _struct(
    mode="u1", q="f4", dq="f4", ddq="f4", tau_est="f4", temperature=("i2", 2), vol="f4", sensor=("u4", 2),
    motorstate="u4", reserve=("u4", 4),
)  # fmt: skip
_HG_MOTOR_CMD = _struct(mode="u1", q="f4", dq="f4", tau="f4", kp="f4", kd="f4", reserve="u4")

MESSAGES = {
    "unitree_go.msg.dds_.LowCmd_": _struct(
        **_GO_FRONT, motor_cmd=(_GO_MOTOR_CMD, 20), bms_cmd=_struct(off="u1", reserve=("u1", 3)),
        wireless_remote=("u1", 40), led=("u1", 12), fan=("u1", 2), gpio="u1", reserve="u4", crc="u4",
    ),
    "unitree_go.msg.dds_.LowState_": _struct(
        **_GO_FRONT, imu_state=_GO_IMU, motor_state=(_GO_MOTOR_STATE, 20), bms_state=_GO_BMS, foot_force=("i2", 4),
        foot_force_est=("i2", 4), tick="u4", wireless_remote=("u1", 40), bit_flag="u1", adc_reel="f4",
        temperature_ntc1="u1", temperature_ntc2="u1", power_v="f4", power_a="f4", fan_frequency=("u2", 4),
        reserve="u4", crc="u4",
    ),
    "unitree_hg.msg.dds_.LowCmd_": _struct(
        mode_pr="u1", mode_machine="u1", motor_cmd=(_HG_MOTOR_CMD, 35), reserve=("u4", 4), crc="u4"
    ),
    "unitree_hg.msg.dds_.LowState_": _struct(
        version=("u4", 2), mode_pr="u1", mode_machine="u1", tick="u4", imu_state=_HG_IMU,
        motor_state=(_HG_MOTOR_STATE, 35), wireless_remote=("u1", 40), reserve=("u4", 4), crc="u4",
    ),
}  # fmt: skip
"""C structure of each message, by the name of its type."""

STRUCTS = {
    _GO_IMU: "unitree_go.msg.dds_.IMUState_", _GO_MOTOR_STATE: "unitree_go.msg.dds_.MotorState_",
    _GO_BMS: "unitree_go.msg.dds_.BmsState_", _GO_MOTOR_CMD: "unitree_go.msg.dds_.MotorCmd_",
    _HG_IMU: "unitree_hg.msg.dds_.IMUState_", _HG_MOTOR_STATE: "unitree_hg.msg.dds_.MotorState_",
    _HG_MOTOR_CMD: "unitree_hg.msg.dds_.MotorCmd_",
    MESSAGES["unitree_go.msg.dds_.LowCmd_"]["bms_cmd"]: "unitree_go.msg.dds_.BmsCmd_",
}  # fmt: skip
"""Names of the types inside them."""


def new_message(kind: str) -> Array:
    """A message of zeros, a structure of shape ()."""
    return np.zeros((), MESSAGES[kind])


def to_cdr(kind: str, message: Array) -> bytes:
    """The message as it goes over the wire."""
    inside, outside = _places(kind)
    wire = np.zeros(outside[-1] + 1, dtype=np.uint8)
    wire[outside] = np.frombuffer(message.tobytes(), dtype=np.uint8)[inside]
    return HEADER + wire.tobytes()


def from_cdr(kind: str, data: bytes) -> Array:
    """Reads what came over the wire.

    Raises:
        ValueError: if it is too short, or not little-endian CDR.
    """
    inside, outside = _places(kind)
    if len(data) < len(HEADER) + outside[-1] + 1 or data[:2] != HEADER[:2]:
        raise ValueError(f"{kind}: {len(data)} bytes that begin with {data[:4].hex()} are no such message")
    wire = np.frombuffer(data, dtype=np.uint8, offset=len(HEADER))
    structure = np.zeros(MESSAGES[kind].itemsize, dtype=np.uint8)
    structure[inside] = wire[outside]
    return structure.view(MESSAGES[kind])[0]


_REVERSED = bytes(int(f"{byte:08b}"[::-1], 2) for byte in range(256))


def crc(message: Array) -> int:
    """Unitree's checksum of a message: over all 32-bit words but the last, which holds it.

    It is a CRC with the polynomial 04C11DB7 that starts at FFFFFFFF and takes each word's highest bit first. zlib's has
    the same polynomial and takes the lowest bit first: the bits of what it is given and of what it returns are turned.
    """
    words = np.frombuffer(message.tobytes(), dtype="<u4")[:-1]
    mirrored = zlib.crc32(words.astype(">u4").tobytes().translate(_REVERSED)) ^ 0xFFFFFFFF
    return int(f"{mirrored:032b}"[::-1], 2)


def read_remote(data: Array) -> Remote | None:
    """The remote control in the 40 bytes of a state; None if they are all zero, as without one."""
    raw = np.asarray(data, dtype=np.uint8).tobytes()
    if not any(raw):
        return None
    held = raw[2] | raw[3] << 8
    buttons = frozenset(name for bit, name in enumerate(BUTTONS) if held >> bit & 1)
    lx, rx, ry, _, ly = np.clip(np.nan_to_num(np.frombuffer(raw, dtype="<f4", count=5, offset=4)), -1.0, 1.0).tolist()
    return Remote(buttons, (lx, ly), (rx, ry))


def remote_bytes(remote: Remote) -> Array:
    """The 40 bytes that say this, uint8 [40]."""
    raw = np.zeros(40, dtype=np.uint8)
    raw[:2] = 0x55, 0x51
    held = sum(1 << BUTTONS.index(name) for name in remote.buttons)
    raw[2], raw[3] = held & 0xFF, held >> 8
    sticks = np.array([remote.left[0], remote.right[0], remote.right[1], 0.0, remote.left[1]], dtype="<f4")
    raw[4:24] = sticks.view(np.uint8)
    return raw


@cache
def _places(kind: str) -> tuple[Array, Array]:
    """Where each byte lies in the C structure and where on the wire."""
    inside, outside, end = [], [], 0
    for offset, size in _numbers(MESSAGES[kind]):
        end = -(-end // size) * size
        inside.extend(range(offset, offset + size))
        outside.extend(range(end, end + size))
        end += size
    return np.array(inside), np.array(outside)


def _numbers(kind: np.dtype, offset: int = 0) -> Iterator[tuple[int, int]]:
    """(offset in the C structure, size) of every number."""
    if kind.subdtype is not None:
        base, shape = kind.subdtype
        for index in range(int(np.prod(shape))):
            yield from _numbers(base, offset + index * base.itemsize)
    elif kind.fields is not None:
        for part, place, *_ in kind.fields.values():
            yield from _numbers(part, offset + place)
    else:
        yield offset, kind.itemsize
