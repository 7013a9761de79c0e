"""A robot held by its base: where its shapes are, its left-right mirror, and a pose to stand in."""

# MuJoCo's bindings carry no types that pyright can read.
# pyright: reportAttributeAccessIssue=false
from __future__ import annotations

import itertools
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import mujoco
import numpy as np
from scipy.optimize import least_squares

from legged_cts.robots.mjcf import support

Array = np.ndarray

_FLIP = np.array([1.0, -1.0, 1.0])
# How a name may say left, next to right. Of two letters, either may be the side: FL, FR, RL, RR or LF, RF, LR, RR.
_SIDES = {"L": "R", "l": "r", "left": "right", "Left": "Right", "LEFT": "RIGHT"}
_ENDS = "FRHBMCLA"


class Stance:
    """A model whose base is at the origin, upright, with the joints where `place` puts them.

    Attributes:
        joints: Names of the hinges, in the order of the MJCF.
        lower, upper: Their limits [rad] [d].
        zero: The pose nearest to 0 within the limits [d].
        base: Index of the base's body.
    """

    def __init__(self, model: mujoco.MjModel):
        """Place the joints at `zero`."""
        self.model, self.data = model, mujoco.MjData(model)
        hinges = [i for i in range(model.njnt) if model.jnt_type[i] == mujoco.mjtJoint.mjJNT_HINGE]
        self.ids = np.array(hinges, int)
        self.joints = tuple(model.joint(i).name for i in hinges)
        self.lower, self.upper = model.jnt_range[hinges].T
        self.zero = np.clip(0.0, self.lower, self.upper)
        self.qpos, self.dofs = model.jnt_qposadr[hinges], model.jnt_dofadr[hinges]
        free = [i for i in range(model.njnt) if model.jnt_type[i] == mujoco.mjtJoint.mjJNT_FREE]
        self.base = int(model.jnt_bodyid[free[0]])
        self.root = int(model.jnt_qposadr[free[0]])
        self.place(self.zero)

    def place(self, pose: Array) -> None:
        """Compute where everything is with the joints at `pose` [rad] [d]."""
        self.data.qpos[self.root : self.root + 7] = (0, 0, 0, 1, 0, 0, 0)
        self.data.qpos[self.qpos] = pose
        mujoco.mj_kinematics(self.model, self.data)

    def pose_of(self, angles: Mapping[str, float]) -> Array:
        """Return the pose [d] with the given angles [rad] by joint, `zero` for joints that have none."""
        return np.array([angles.get(joint, zero) for joint, zero in zip(self.joints, self.zero, strict=True)])

    def colliders(self, bodies: Sequence[int]) -> list[int]:
        """Return the geoms of some bodies that can touch anything."""
        colliding = (self.model.geom_contype | self.model.geom_conaffinity) != 0
        return [int(i) for i in np.flatnonzero(np.isin(self.model.geom_bodyid, bodies) & colliding)]

    def extent(self, geom: int, axis: int) -> tuple[float, float]:
        """Return the least and greatest coordinate [m] of a geom along an axis of the world."""
        centre, row = self.data.geom_xpos[geom, axis], self.data.geom_xmat[geom].reshape(3, 3)[axis]
        return float(centre - support(self.model, geom, -row)), float(centre + support(self.model, geom, row))

    def support(self, geom: int, direction: Array) -> float:
        """Return how far [m] a geom reaches along a direction [3] of the world, from the world's origin."""
        turned = self.data.geom_xmat[geom].reshape(3, 3).T @ direction
        return float(self.data.geom_xpos[geom] @ direction) + support(self.model, geom, turned)

    def lowest(self, geoms: Sequence[int]) -> tuple[float, int]:
        """Return the height [m] of the lowest point of some geoms, and the geom it is of."""
        return min((self.extent(geom, 2)[0], geom) for geom in geoms)

    def chain(self, body: int) -> list[int]:
        """Return the joints (indices into `joints`) between the base and a body, from the base outwards."""
        found = []
        while body not in (0, self.base):
            found += [int(i) for i in np.flatnonzero(self.model.jnt_bodyid[self.ids] == body)][::-1]
            body = int(self.model.body_parentid[body])
        return found[::-1]

    def leaves(self) -> list[int]:
        """Return the moving bodies that carry no other moving body; a moving body is one with joints of its own."""
        welds = {int(weld) for weld in self.model.body_weldid} - {0, self.base}
        parents = {int(self.model.body_weldid[self.model.body_parentid[weld]]) for weld in welds}
        return sorted(welds - parents)

    def reach(self) -> float:
        """Return the largest distance [m] from the base to the lowest point of a leaf, the scale of the robot."""
        return max((float(np.linalg.norm(tip)) for tip in self.tips().values()), default=0.0)

    def tips(self) -> dict[int, Array]:
        """Return the lowest point [3] of each leaf with colliders, as the robot stands."""
        points = {}
        for leaf in self.leaves():
            if geoms := self.colliders(np.flatnonzero(self.model.body_weldid == leaf).tolist()):
                height, geom = self.lowest(geoms)
                points[leaf] = np.array([*self.data.geom_xpos[geom, :2], height])
        return points


@dataclass(frozen=True)
class Mirror:
    """The left-right symmetry of a robot's joints.

    Attributes:
        words: What to swap in names: words, or whole names where no words tell.
        partner: The joint on the other side, for each joint; itself in the middle.
        sign: 1 or -1 for each joint.
        by_place: Joints whose partner was found by where they are, not by their names.
        unpaired: Joints without a partner.
        error: Largest distance [m] between a body and where the mirror puts it, over random poses.
    """

    words: dict[str, str]
    partner: dict[str, str]
    sign: dict[str, float]
    by_place: tuple[str, ...]
    unpaired: tuple[str, ...]
    error: float


def find_mirror(stance: Stance) -> Mirror:
    """Find pairs by name, else by place, and compute the signs from the axes of the joints.

    A mirror turns a rotation by an angle about an axis a into one by the same angle about -F a, F = diag(1, -1, 1):
    the sign is 1 where the partner's axis is that, -1 where it is the opposite.
    """
    stance.place(stance.zero)
    anchors = stance.data.xanchor[stance.ids].copy()
    axes = stance.data.xaxis[stance.ids].copy()
    joints = stance.joints
    scale = max(stance.reach(), 1e-6)
    # A joint's place along its own axis is free.
    middle = np.array([_apart(anchor, anchor, axis) for anchor, axis in zip(anchors, axes, strict=True)]) < 0.01 * scale
    partner: dict[str, str] = {}
    words: dict[str, str] = {}
    table = max(_tables(), key=lambda table: sum(swap_words(joint, table) in joints for joint in joints))
    for i, joint in enumerate(joints):
        other = swap_words(joint, table)
        # A hinge across the robot, such as a knee's, runs through its own mirror image, and is in no middle for that.
        elsewhere = _spelled_otherwise(joint, joints) or _by_place(i, anchors, axes, scale, joints) not in (None, joint)
        if other in joints and (other != joint or (middle[i] and not elsewhere)):
            partner[joint] = other
            used = [word for word in re.findall(r"[^\W_]+", joint) if word in table]
            words |= {word: table[word] for word in used if word not in words.values()}
    by_place, unpaired = [], []
    for i, joint in enumerate(joints):
        if joint in partner:
            continue
        other = _spelled_otherwise(joint, joints) or _by_place(i, anchors, axes, scale, joints)
        if other is None or partner.get(other, joint) != joint:
            unpaired.append(joint)
            other = joint
        elif other != joint:
            words |= {joint: other}
        if other != joint and _spelled_otherwise(joint, joints) != other:
            by_place += [joint, other]
        partner |= {joint: other, other: joint}
    if any(swap_words(joint, words | {b: a for a, b in words.items()}) != partner[joint] for joint in joints):
        words = {a: b for a, b in partner.items() if a < b}
    index = {joint: i for i, joint in enumerate(joints)}
    sign = {joint: 1.0 if -axes[i] * _FLIP @ axes[index[partner[joint]]] > 0 else -1.0 for joint, i in index.items()}
    return Mirror(words, partner, sign, tuple(by_place), tuple(unpaired), _mirror_error(stance, partner, sign))


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
            for letters in (end + "L", end + "R"), (end.lower() + "l", end.lower() + "r"):
                left, right = (pair[::order] for pair in letters)
                table[left] = right
        tables.append(table | {right: left for left, right in table.items()})
    return tables


def _spelled_otherwise(joint: str, joints: Sequence[str]) -> str | None:
    """Find a name with a side that no underscore delimits, such as LeftHip or LHipYaw."""
    both = _SIDES | {right: left for left, right in _SIDES.items()}
    found = set()
    for side, other in both.items():
        for match in re.finditer(side, joint):
            candidate = joint[: match.start()] + other + joint[match.end() :]
            if candidate in joints:
                found.add(candidate)
    return found.pop() if len(found) == 1 else None


def _apart(anchor: Array, other: Array, axis: Array) -> float:
    """Return how far the mirror image of an anchor [3] is from the line through another along its axis [3]."""
    return float(np.linalg.norm(np.cross(anchor * _FLIP - other, axis)))


def _by_place(i: int, anchors: Array, axes: Array, scale: float, joints: Sequence[str]) -> str | None:
    """Find the joint whose axis is the mirror image, the nearest one where several lie on one line."""
    lines = np.array([_apart(anchors[i], anchor, axis) for anchor, axis in zip(anchors, axes, strict=True)])
    apart = np.linalg.norm(anchors - anchors[i] * _FLIP, axis=1)
    apart[(lines > 0.02 * scale) | (np.abs(axes @ (axes[i] * _FLIP)) < 0.99)] = np.inf
    near = int(np.argmin(apart))
    return joints[near] if np.isfinite(apart[near]) else None


def _mirror_error(stance: Stance, partner: Mapping[str, str], sign: Mapping[str, float]) -> float:
    """Compare mirrored poses: the body of each joint with its partner's, at what they carry (their centres of mass)."""
    index = {joint: i for i, joint in enumerate(stance.joints)}
    swap = [index[partner[joint]] for joint in stance.joints]
    signs = np.array([sign[joint] for joint in stance.joints])
    bodies = stance.model.jnt_bodyid[stance.ids]
    rng = np.random.default_rng(0)
    worst = 0.0
    for _ in range(20):
        pose = rng.uniform(stance.lower, stance.upper)
        stance.place(pose)
        here = stance.data.xipos[bodies].copy()
        stance.place(signs * pose[swap])
        worst = max(worst, float(np.abs(stance.data.xipos[bodies] - here[swap] * _FLIP).max(initial=0.0)))
    return worst


def mirrored(stance: Stance, mirror: Mirror, pose: Array) -> Array:
    """Return the mirror image of a pose [d]."""
    index = {joint: i for i, joint in enumerate(stance.joints)}
    return np.array([mirror.sign[joint] * pose[index[mirror.partner[joint]]] for joint in stance.joints])


def standing_pose(stance: Stance, mirror: Mirror, feet: Sequence[int], crouch: float, flat: bool) -> Array:
    """Search for a pose with bent knees, the feet under the hips or, in the mean, under the weight, all at one height.

    Args:
        stance: The robot.
        mirror: Its mirror; the pose is its own mirror image.
        feet: Bodies of the feet.
        crouch: Distance between hip and foot, as a share of the longest one.
        flat: Whether soles must stay as level as they are with all joints at zero.

    Returns:
        Angles [rad] [d], to two decimals.
    """
    rng = np.random.default_rng(0)
    legs = [(foot, stance.chain(foot)) for foot in feet]
    heights = []
    for foot, chain in legs:
        stance.place(stance.zero)
        hip = stance.data.xanchor[stance.ids[chain[0]], 2]
        low = [stance.lowest(stance.colliders([foot]))[0]]
        for _ in range(400):
            pose = stance.zero.copy()
            pose[chain] = rng.uniform(stance.lower[chain], stance.upper[chain])
            stance.place(pose)
            low.append(stance.lowest(stance.colliders([foot]))[0])
        heights.append(hip + crouch * (min(low) - hip))
    # The shortest leg decides, or it would hang in the air.
    pose, height, ahead = stance.zero.copy(), max(heights), 0.0
    index = {joint: i for i, joint in enumerate(stance.joints)}
    for _ in range(3):
        done: set[int] = set()
        for foot, chain in legs:
            if done >= set(chain):
                continue
            knee_forward = len(feet) == 2
            pose[chain] = _bend(stance, foot, chain, height, ahead, flat, knee_forward, rng)
            for i in chain:
                other = index[mirror.partner[stance.joints[i]]]
                pose[other] = pose[i] * mirror.sign[stance.joints[i]] if other != i else pose[i]
                done |= {i, other}
        offset = _behind(stance, pose, feet)
        if abs(offset) < 0.005 * stance.reach():
            break
        ahead += offset
    pose = np.where(np.abs(pose) < 0.04, 0.0, np.round(pose, 2))
    return symmetric(stance, mirror, pose)[0]


def _behind(stance: Stance, pose: Array, feet: Sequence[int]) -> float:
    """Return how far [m] the centre of mass is ahead of the middle of the feet."""
    stance.place(pose)
    mujoco.mj_comPos(stance.model, stance.data)
    sides = [[stance.extent(geom, 0) for geom in stance.colliders([foot])] for foot in feet]
    middle = np.mean([(np.min(spans) + np.max(spans)) / 2 for spans in sides])
    return float(stance.data.subtree_com[stance.base][0] - middle)


def symmetric(stance: Stance, mirror: Mirror, pose: Array) -> tuple[Array, float]:
    """Return the pose [d] within the limits that is its own mirror image, and how far [rad] it is from `pose`."""
    mean = (pose + mirrored(stance, mirror, pose)) / 2
    # Outwards rounding of a limit would leave it; six digits are what the MJCF keeps of it.
    inside = np.clip(np.round(mean, 6), np.ceil(stance.lower * 1e5) / 1e5, np.floor(stance.upper * 1e5) / 1e5)
    return inside, float(np.abs(inside - pose).max(initial=0.0))


def _bend(
    stance: Stance,
    foot: int,
    chain: list[int],
    height: float,
    ahead: float,
    flat: bool,
    knee_forward: bool,
    rng: np.random.Generator,
) -> Array:
    lower, upper = stance.lower[chain], stance.upper[chain]
    margin = 0.05 * (upper - lower)
    low, high = lower + margin, upper - margin
    stance.place(stance.zero)
    axes = stance.data.xaxis[stance.ids[chain]]
    pitching = np.abs(axes[:, 1]) > 0.7
    level = stance.data.xmat[foot].reshape(3, 3)[2].copy()
    rest = np.clip(0.0, low, high)
    # Abduction and rotation stay put; bending is what pitch joints are for.
    dear = np.where(pitching, 0.1, 1.0)
    hip = chain[int(np.argmax(pitching))]
    knees = [chain[i] for i in np.flatnonzero(pitching)[1:2]]
    forward = 1.0 if knee_forward else -1.0
    geoms = stance.colliders([foot])
    size = abs(stance.data.xanchor[stance.ids[chain[0]], 2] - height) + 1e-6
    pose = stance.zero.copy()

    def residual(angles: Array) -> Array:
        pose[chain] = angles
        stance.place(pose)
        hip_x = stance.data.xanchor[stance.ids[hip], 0]
        parts = [[10 * (stance.lowest(geoms)[0] - height) / size], dear * (angles - rest)]
        if pitching.any():
            parts.append([10 * (stance.data.xpos[foot, 0] - hip_x - ahead) / size])
        for knee in knees:
            bent = forward * (stance.data.xanchor[stance.ids[knee], 0] - hip_x) / size
            parts.append([0.5 - 0.5 * np.tanh(10 * bent)])
        if flat:
            parts.append(5 * (stance.data.xmat[foot].reshape(3, 3)[2] - level))
        return np.concatenate(parts)

    # Several starts, for a knee may bend either way.
    starts = [rest, *rng.uniform(np.maximum(low, rest - 1), np.minimum(high, rest + 1), (6, len(chain)))]
    found = [least_squares(residual, start, bounds=(low, high), max_nfev=40) for start in starts]
    return min(found, key=lambda solution: solution.cost).x


def standing_height(stance: Stance, pose: Array, feet: Sequence[int]) -> tuple[float, list[float], list[str]]:
    """Return the height [m] of the base at which the lowest foot touches the ground.

    Returns:
        That height, the clearance [m] of each foot then, and the bodies that reach lower than a foot.
    """
    stance.place(pose)
    low = [stance.lowest(stance.colliders([foot]))[0] for foot in feet]
    others = [i for i in range(1, stance.model.nbody) if i not in feet]
    lower = [
        stance.model.body(body).name
        for body in others
        if (geoms := stance.colliders([body])) and stance.lowest(geoms)[0] < min(low) - 1e-4
    ]
    return -min(low), [height - min(low) for height in low], lower


def joint_inertia(stance: Stance, pose: Array) -> Array:
    """Return what a joint would turn if all others were locked and the base were held [kg m^2] [d], with armature."""
    stance.place(pose)
    mujoco.mj_comPos(stance.model, stance.data)
    mujoco.mj_crb(stance.model, stance.data)
    full = np.zeros((stance.model.nv, stance.model.nv))
    mujoco.mj_fullM(stance.model, stance.data, full)
    return full.diagonal()[stance.dofs].copy()


def holding_torque(stance: Stance, pose: Array, feet: Sequence[int]) -> Array:
    """Return the torques [N m] [d] that hold a pose, with the weight spread over the feet as evenly as balance allows.

    Forces act at each foot's corners, or below its ball; their sum balances the base's weight and moments (least
    squares).
    """
    model, data = stance.model, stance.data
    stance.place(pose)
    mujoco.mj_forward(model, data)
    columns = []
    for foot in feet:
        geoms = stance.colliders([foot])
        height = stance.lowest(geoms)[0]
        # A ball touches below its centre, a sole at its corners.
        if len(geoms) == 1 and model.geom_type[geoms[0]] == mujoco.mjtGeom.mjGEOM_SPHERE:
            places = [tuple(data.geom_xpos[geoms[0], :2])]
        else:
            sides = [np.array([stance.extent(geom, axis) for geom in geoms]) for axis in (0, 1)]
            places = list(itertools.product(*((side.min(), side.max()) for side in sides)))
        for x, y in places:
            jacobian = np.zeros((3, model.nv))
            mujoco.mj_jac(model, data, jacobian, None, np.array([x, y, height]), foot)
            columns.append(jacobian.T[:, 2])
    support = np.array(columns).T
    root = int(model.jnt_dofadr[model.body_jntadr[stance.base]])
    base = slice(root, root + 6)
    forces = np.linalg.lstsq(support[base], data.qfrc_bias[base], rcond=None)[0]
    return (data.qfrc_bias - support @ forces)[stance.dofs]
