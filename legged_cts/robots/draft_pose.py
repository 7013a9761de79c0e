"""Of a robot without a spec: its left-right mirror, and a pose to stand in."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import mujoco
import numpy as np
from scipy.optimize import least_squares

from legged_cts.robots.draft_source import DraftError
from legged_cts.robots.posed import MIRROR, Array, Posed

# How a name may say left, next to right. Of two letters, either may be the side: FL, FR, RL, RR or LF, RF, LR, RR.
_SIDES = {"L": "R", "l": "r", "left": "right", "Left": "Right", "LEFT": "RIGHT"}
_ENDS = "FRHBMCLA"


@dataclass(frozen=True)
class Pairs:
    """The left-right symmetry of a robot's joints."""

    words: dict[str, str]  # what to swap in names: words, or whole names where no words tell
    partner: Array  # index of the joint on the other side, for each joint; itself in the middle [d]
    sign: Array  # 1 or -1 for each joint [d]
    by_place: bool  # whether places told partners that names did not
    unpaired: tuple[str, ...]  # joints without a partner
    error: float  # largest distance [m] between a body and where the mirror puts it, over random poses


def find_pairs(stance: Posed) -> Pairs:
    """Find pairs by name, else by place, and compute the signs from the axes of the joints.

    A mirror turns a rotation by an angle about an axis a into one by the same angle about -F a, F = diag(1, -1, 1):
    the sign is 1 where the partner's axis is that, -1 where it is the opposite.

    Raises:
        DraftError: If what names call left and right lies before and behind: the base faces sideways.
    """
    stance.put(stance.pose)
    anchors, axes = stance.data.xanchor[stance.ids].copy(), stance.data.xaxis[stance.ids].copy()
    joints, scale = stance.joints, max(stance.reach(), 1e-6)
    # A joint's place along its own axis is free.
    middle = [_apart(anchor, anchor, axis) < 0.01 * scale for anchor, axis in zip(anchors, axes, strict=True)]
    partner: dict[str, str] = {}
    words: dict[str, str] = {}
    table = max(_tables(), key=lambda table: sum(swap_words(joint, table) in joints for joint in joints))
    otherwise = {joint: _spelled_otherwise(joint, joints) for joint in joints}
    placed = {joint: _by_place(i, anchors, axes, scale, joints) for i, joint in enumerate(joints)}
    for i, joint in enumerate(joints):
        other = swap_words(joint, table)
        # A hinge across the robot, such as a knee's, runs through its own mirror image, and is in no middle for that.
        elsewhere = otherwise[joint] or placed[joint] not in (None, joint)
        if other in joints and (other != joint or (middle[i] and not elsewhere)):
            partner[joint] = other
            used = [word for word in re.findall(r"[^\W_]+", joint) if word in table]
            words |= {word: table[word] for word in used if word not in words.values()}
    named = [(i, joints.index(partner[joint])) for i, joint in enumerate(joints) if joint in partner]
    apart = np.sum([np.abs(anchors[i] - anchors[other]) for i, other in named], axis=0)
    if named and apart[0] > max(2.0 * apart[1], 0.1 * scale):
        one, other = next((joints[i], joints[k]) for i, k in named if i != k)
        raise DraftError(
            f"the base faces sideways: {one!r} and {other!r} are left and right by their names, but one is ahead of "
            "the other; x must point ahead and y to the left in the base's frame: turn it by 90 degrees"
        )
    by_place, unpaired = False, []
    for joint in joints:
        if joint in partner:
            continue
        other = otherwise[joint] or placed[joint]
        if other is None or partner.get(other, joint) != joint:
            unpaired.append(joint)
            other = joint
        elif other != joint:
            words |= {joint: other}
            by_place |= otherwise[joint] != other
        partner |= {joint: other, other: joint}
    if any(swap_words(joint, words | {b: a for a, b in words.items()}) != partner[joint] for joint in joints):
        words = {a: b for a, b in partner.items() if a < b}
    index = np.array([joints.index(partner[joint]) for joint in joints])
    sign = np.where(np.einsum("ij,ij->i", -axes * MIRROR, axes[index]) > 0, 1.0, -1.0)
    return Pairs(words, index, sign, by_place, tuple(unpaired), _mirror_error(stance, index, sign))


def swap_words(name: str, words: Mapping[str, str]) -> str:
    """Swap whole words, which underscores and the like delimit, as `mirror.swap` of a spec does."""
    if not words:
        return name
    pattern = "|".join(rf"(?<![^\W_]){re.escape(word)}(?![^\W_])" for word in words)
    return re.sub(pattern, lambda match: words[match[0]], name)


def _tables() -> list[dict[str, str]]:
    tables = []
    for order in (1, -1):
        table = dict(_SIDES)
        for end in _ENDS:
            for left, right in (end + "L", end + "R"), (end.lower() + "l", end.lower() + "r"):
                table[left[::order]] = right[::order]
        tables.append(table | {right: left for left, right in table.items()})
    return tables


def _spelled_otherwise(joint: str, joints: Sequence[str]) -> str | None:
    """Find a name with a side that no underscore delimits, such as LeftHip or LHipYaw."""
    both = _SIDES | {right: left for left, right in _SIDES.items()}
    candidates = {
        joint[: match.start()] + other + joint[match.end() :]
        for side, other in both.items()
        for match in re.finditer(side, joint)
    }
    found = candidates & set(joints)
    return found.pop() if len(found) == 1 else None


def _apart(anchor: Array, other: Array, axis: Array) -> float:
    """Return how far the mirror image of an anchor [3] is from the line through another along its axis [3]."""
    return float(np.linalg.norm(np.cross(anchor * MIRROR - other, axis)))


def _by_place(i: int, anchors: Array, axes: Array, scale: float, joints: Sequence[str]) -> str | None:
    """Find the joint whose axis is the mirror image, the nearest one where several lie on one line."""
    lines = np.array([_apart(anchors[i], anchor, axis) for anchor, axis in zip(anchors, axes, strict=True)])
    apart = np.linalg.norm(anchors - anchors[i] * MIRROR, axis=1)
    apart[(lines > 0.02 * scale) | (np.abs(axes @ (axes[i] * MIRROR)) < 0.99)] = np.inf
    near = int(np.argmin(apart))
    return joints[near] if np.isfinite(apart[near]) else None


def _mirror_error(stance: Posed, partner: Array, sign: Array) -> float:
    """Compare mirrored poses: the body of each joint with its partner's, at what they carry (their centres of mass)."""
    poses = np.random.default_rng(0).uniform(stance.low, stance.high, (20, len(partner)))
    errors = stance.mirror_errors(partner, sign, poses, lambda: stance.data.xipos[stance.bodies], partner)
    return max(float(np.abs(gaps).max(initial=0.0)) for gaps in errors)


def standing_pose(stance: Posed, pairs: Pairs, crouch: float, flat: bool) -> Array:
    """Search for a pose with bent knees, the feet under the hips or, in the mean, under the weight, all at one height.

    Args:
        stance: The robot.
        pairs: Its mirror; the pose is its own mirror image.
        crouch: Distance between hip and foot, as a share of the longest one.
        flat: Whether soles must stay as level as they are with all joints at zero.

    Returns:
        Angles [rad] [d], to two decimals.
    """
    rng = np.random.default_rng(0)
    legs = [(foot, stance.chain(foot)) for foot in stance.feet.tolist()]
    # The shortest leg decides, or it would hang in the air.
    height = max(_height(stance, foot, chain, crouch, rng) for foot, chain in legs)
    pose, ahead = stance.pose.copy(), 0.0
    for _ in range(3):
        done: set[int] = set()
        for foot, chain in legs:
            if done >= set(chain):
                continue
            pose[chain] = _bend(stance, foot, chain, height, ahead, flat, rng)
            for i in chain:
                other = int(pairs.partner[i])
                pose[other] = pose[i] * pairs.sign[i] if other != i else pose[i]
                done |= {i, other}
        offset = _behind(stance, pose)
        if abs(offset) < 0.005 * stance.reach():
            break
        ahead += offset
    return symmetric(stance, pairs, np.where(np.abs(pose) < 0.04, 0.0, np.round(pose, 2)))[0]


def _height(stance: Posed, foot: int, chain: list[int], crouch: float, rng: np.random.Generator) -> float:
    """Return the height [m] of a foot in a crouch, the leg's length being the longest of many poses."""
    stance.put(stance.pose)
    geoms = stance.colliders([foot])
    hip, low = stance.data.xanchor[stance.ids[chain[0]], 2], stance.lowest(geoms)[0]
    for _ in range(400):
        pose = stance.pose.copy()
        pose[chain] = rng.uniform(stance.low[chain], stance.high[chain])
        stance.put(pose)
        low = min(low, stance.lowest(geoms)[0])
    return hip + crouch * (low - hip)


def _behind(stance: Posed, pose: Array) -> float:
    """Return how far [m] the centre of mass is ahead of the middle of the feet."""
    stance.put(pose)
    mujoco.mj_comPos(stance.model, stance.data)
    sides = [[stance.extent(geom, 0) for geom in stance.colliders([foot])] for foot in stance.feet]
    middle = np.mean([(np.min(spans) + np.max(spans)) / 2 for spans in sides])
    return float(stance.centre[0] - middle)


def symmetric(stance: Posed, pairs: Pairs, pose: Array) -> tuple[Array, float]:
    """Return the pose [d] within the limits that is its own mirror image, and how far [rad] it is from `pose`."""
    mean = (pose + pairs.sign * pose[pairs.partner]) / 2
    # Outwards rounding of a limit would leave it; six digits are what the MJCF keeps of it.
    inside = np.clip(np.round(mean, 6), np.ceil(stance.low * 1e5) / 1e5, np.floor(stance.high * 1e5) / 1e5)
    return inside, float(np.abs(inside - pose).max(initial=0.0))


def _bend(
    stance: Posed, foot: int, chain: list[int], height: float, ahead: float, flat: bool, rng: np.random.Generator
) -> Array:
    """Return the angles [rad] of a leg whose foot is at a height [m], so far [m] ahead of its hip."""
    margin = 0.05 * (stance.high - stance.low)[chain]
    low, high = stance.low[chain] + margin, stance.high[chain] - margin
    stance.put(stance.pose)
    pitching = np.abs(stance.data.xaxis[stance.ids[chain], 1]) > 0.7
    level = stance.data.xmat[foot].reshape(3, 3)[2].copy()
    rest = np.clip(0.0, low, high)
    # Abduction and rotation stay put; bending is what pitch joints are for.
    dear = np.where(pitching, 0.1, 1.0)
    hip = stance.ids[chain[int(np.argmax(pitching))]]
    knees = stance.ids[[chain[i] for i in np.flatnonzero(pitching)[1:2]]]
    # A biped's knees point ahead.
    forward = 1.0 if len(stance.feet) == 2 else -1.0
    geoms, anchors = stance.colliders([foot]), stance.data.xanchor
    size = abs(anchors[stance.ids[chain[0]], 2] - height) + 1e-6
    pose = stance.pose.copy()

    def residual(angles: Array) -> Array:
        pose[chain] = angles
        stance.put(pose)
        parts = [[10 * (stance.lowest(geoms)[0] - height) / size], dear * (angles - rest)]
        if pitching.any():
            parts.append([10 * (stance.data.xpos[foot, 0] - anchors[hip, 0] - ahead) / size])
        parts.append(0.5 - 0.5 * np.tanh(10 * (forward * (anchors[knees, 0] - anchors[hip, 0]) / size)))
        if flat:
            parts.append(5 * (stance.data.xmat[foot].reshape(3, 3)[2] - level))
        return np.concatenate(parts)

    # Several starts, for a knee may bend either way.
    starts = [rest, *rng.uniform(np.maximum(low, rest - 1), np.minimum(high, rest + 1), (6, len(chain)))]
    found = [least_squares(residual, start, bounds=(low, high), max_nfev=40) for start in starts]
    return min(found, key=lambda solution: solution.cost).x


def standing_height(stance: Posed, pose: Array) -> tuple[float, list[float], list[str]]:
    """Return the base's height [m] at which a foot touches the ground, the feet's clearances [m], what is lower."""
    stance.put(pose)
    bodies = [(body, stance.colliders([body])) for body in range(1, stance.model.nbody)]
    lowest = {body: stance.lowest(geoms)[0] for body, geoms in bodies if geoms}
    low = [lowest[foot] for foot in stance.feet.tolist()]
    others = [stance.body_name(body) for body in lowest if body not in stance.feet and lowest[body] < min(low) - 1e-4]
    return -min(low), [height - min(low) for height in low], others
