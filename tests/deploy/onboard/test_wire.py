"""Unitree's messages as bytes: sizes, checksum and byte order."""

from __future__ import annotations

import struct

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from legged_cts.deploy.onboard.link import BUTTONS, Remote
from legged_cts.deploy.onboard.wire import MESSAGES, crc, from_cdr, new_message, read_remote, remote_bytes, to_cdr
from legged_cts.deploy.onboard.wiring import WIRINGS, MotorMap, wiring_of
from legged_cts.robots.spec import load_robot

SIZES = {
    "unitree_go.msg.dds_.LowCmd_": 812,
    "unitree_go.msg.dds_.LowState_": 1180,
    "unitree_hg.msg.dds_.LowCmd_": 1004,
    "unitree_hg.msg.dds_.LowState_": 2092,
}


def bit_by_bit(words: list[int]) -> int:
    """The checksum as it is defined: polynomial 04C11DB7, start FFFFFFFF, highest bit first."""
    value = 0xFFFFFFFF
    for word in words:
        for bit in range(31, -1, -1):
            carry = value >> 31
            value = (value << 1) & 0xFFFFFFFF
            value ^= 0x04C11DB7 * carry ^ 0x04C11DB7 * (word >> bit & 1)
    return value


def filled(kind: str, seed: int = 0) -> np.ndarray:
    """A message of random numbers."""
    wire = np.random.default_rng(seed).integers(1, 100, MESSAGES[kind].itemsize, dtype=np.uint8).tobytes()
    return from_cdr(kind, b"\x00\x01\x00\x00" + wire)


@pytest.mark.parametrize("kind", MESSAGES)
def test_messages_have_the_sizes_and_checksums_of_the_vendors_structures(kind: str) -> None:
    assert MESSAGES[kind].itemsize == SIZES[kind]
    message = filled(kind)
    words = np.frombuffer(message.tobytes(), "<u4")
    assert crc(message) == bit_by_bit(words[:-1].tolist())
    message["crc"] += 1
    assert crc(message) == bit_by_bit(words[:-1].tolist())


@pytest.mark.parametrize("kind", MESSAGES)
def test_what_goes_over_the_wire_comes_back(kind: str) -> None:
    message = filled(kind, seed=1)
    data = to_cdr(kind, message)
    assert from_cdr(kind, data).tobytes() == message.tobytes()
    with pytest.raises(ValueError, match="are no such message"):
        from_cdr(kind, data[:-1])


def test_the_wire_pads_numbers_but_not_structures() -> None:
    command = new_message("unitree_hg.msg.dds_.LowCmd_")
    command["mode_machine"] = 5
    command["motor_cmd"]["mode"][:2] = 1
    command["motor_cmd"]["q"][:2] = 1.5, -2.5
    data = to_cdr("unitree_hg.msg.dds_.LowCmd_", command)[4:]
    # mode_pr, mode_machine and the first motor's mode share four bytes; further motors begin on a multiple of four.
    assert struct.unpack_from("<3Bx6f", data) == (0, 5, 1, 1.5, 0, 0, 0, 0, 0)
    assert struct.unpack_from("<B3xf", data, 28) == (1, -2.5)


@given(st.sets(st.sampled_from(BUTTONS)), st.tuples(*[st.floats(-1, 1, width=32)] * 4))
def test_the_remote_control_comes_back(buttons: set[str], sticks: tuple[float, float, float, float]) -> None:
    remote = Remote(frozenset(buttons), sticks[:2], sticks[2:])
    assert read_remote(remote_bytes(remote)) == remote


def test_buttons_lie_where_the_vendor_puts_them() -> None:
    raw = np.zeros(40, dtype=np.uint8)
    assert read_remote(raw) is None
    raw[2], raw[3] = 0b00100000, 0b00000010
    raw[20:24] = np.array([0.5], "<f4").view(np.uint8)
    assert read_remote(raw) == Remote(frozenset({"L2", "B"}), (0.0, 0.5), (0.0, 0.0))
    raw[20:24] = np.array([np.nan], "<f4").view(np.uint8)
    assert read_remote(raw) == Remote(frozenset({"L2", "B"}))


@pytest.mark.parametrize("robot", WIRINGS)
def test_every_joint_has_its_motor_and_lies_within_its_limits(robot: str) -> None:
    spec, wiring = load_robot(robot), wiring_of(robot)
    motors = MotorMap(spec, wiring)
    assert tuple(wiring.motors[index] for index in motors.motors) == spec.joints
    lying = wiring.lying_pose(spec)
    assert ((np.array(spec.joint_lower) <= lying) & (lying <= np.array(spec.joint_upper))).all()
    q, kp, kd = motors.spread(np.arange(len(spec.joints)), np.array(spec.stiffness), np.array(spec.damping))
    np.testing.assert_array_equal(q[motors.motors], np.arange(len(spec.joints)))
    for joint, angle in spec.locked.items():
        assert q[wiring.motors.index(joint)] == angle
        assert kp[wiring.motors.index(joint)] > 0 < kd[wiring.motors.index(joint)]
    limp = motors.spread(q[motors.motors], np.zeros(len(spec.joints)), np.array(spec.damping))
    assert not limp[1].any()


def test_a_robot_without_wiring_is_named_with_those_that_have_one() -> None:
    with pytest.raises(ValueError, match="robot: 'go1' has no wiring .allowed: go2, g1, g1_12, tron1"):
        wiring_of("go1")
