"""Packs: which one a robot gets, and what it makes of the task. No simulation."""

import dataclasses
import itertools

import pytest

from legged_cts.envs.gait import task_gait
from legged_cts.envs.morphology import TASKS, morphology_override
from legged_cts.envs.rewards import reward_terms
from legged_cts.robots.feet import foot_frames
from legged_cts.robots.gait import Gait
from legged_cts.robots.spec import load_robot
from legged_cts.task.stages import with_stage
from legged_cts.training.compose import apply_overrides, compose_task, plain

GAIT = {"frequency": 2.0, "offsets": [0.0, 0.5, 0.5, 0.0], "duty": 0.5, "foot_height": 0.1}


@pytest.mark.parametrize(
    ("words", "chosen"),
    [
        ([], ["morphology=quadruped"]),
        (["robot=go2", "terrain=rough"], ["morphology=quadruped"]),
        (["train.py", "robot=tron1", "env.gait.frequency=1.7", "--multirun"], ["morphology=point_foot_biped"]),
        (["robot=go1,go2"], ["morphology=quadruped"]),
        (["robot=go2,tron1", "seed=1,2"], []),
        # A pack of a robot's own goes before that of its morphology.
        (["robot=g1"], ["morphology=g1"]),
        (["robot=g1_12,g1"], []),
        (["robot=go2", "morphology=humanoid"], []),
        (["+morphology=humanoid"], []),
    ],
)
def test_the_spec_chooses_unless_the_user_does(words, chosen):
    assert morphology_override(words) == chosen


@pytest.mark.parametrize("name", ["go2", "point_foot_biped"])
def test_a_spec_outside_the_repository_chooses_too(tmp_path, name):
    folder = load_robot("go2").mjcf.parent
    text = (folder / "robot.yaml").read_text().replace("morphology: quadruped", "morphology: humanoid")
    text = text.replace("name: go2", f"name: {name}")
    (tmp_path / "go2.xml").write_text((folder / "go2.xml").read_text())
    (tmp_path / "robot.yaml").write_text(text)
    assert morphology_override([f"robot={tmp_path / 'robot.yaml'}"]) == ["morphology=humanoid"]


def test_bipeds_begin_with_less_noise_whatever_learns():
    for robot, std in (("go2", 1.0), ("tron1", 0.5), ("g1", 0.5)):
        for algorithm in ("cts", "ppo", "kdrl"):
            cfg = plain(compose_task([f"robot={robot}", f"algorithm={algorithm}"]))
            assert cfg["networks"]["actor"]["distribution_cfg"]["init_std"] == std
            assert cfg["algorithm"]["schedule"] == ("adaptive" if std == 1.0 else "fixed")
    humanoid = plain(compose_task(["robot=g1_12"]))["networks"]["actor"]["distribution_cfg"]
    assert humanoid["std_range"] == [0.08, 1e6]
    own = plain(compose_task(["robot=g1", "algorithm.learning_rate=1e-4", "ppo.entropy_coef=0.5"]))["algorithm"]
    assert (own["learning_rate"], own["entropy_coef"]) == (1e-4, 0.5)


def test_the_pack_of_a_robot_changes_no_more_than_it_says():
    config, humanoid = (plain(compose_task(["robot=g1", *words])) for words in ([], ["morphology=humanoid"]))
    assert (config.pop("max_iterations"), humanoid.pop("max_iterations")) == (5400, 4200)
    rates = [each["stages"]["fine"]["set"]["algorithm"].pop("learning_rate") for each in (config, humanoid)]
    assert rates == [6.0e-5, 1.0e-4]
    assert config == humanoid


def test_wrong_names_are_named():
    with pytest.raises(ValueError, match="no robot named 'go3'; did you mean 'go"):
        morphology_override(["robot=go3"])
    with pytest.raises(ValueError, match="morphology"):
        compose_task(["morphology=hexapod"])


def test_the_hips_of_a_quadruped_are_found_by_their_axes():
    weights = {"hip_default": {"weight": -1.0, "params": {"joints": None}}}
    for robot in ("go1", "go2"):
        spec = load_robot(robot)
        chosen = reward_terms(weights, spec, None)["hip_default"].params["joints"]
        assert [spec.joints[i] for i in chosen] == [joint for joint in spec.joints if joint.endswith("_hip_joint")]


@pytest.mark.parametrize("robot", ["go1", "go2", "tron1", "g1_12", "g1"])
def test_each_pack_fits_the_robots_of_its_morphology(robot):
    config = plain(compose_task([f"robot={robot}"]))
    spec = load_robot(robot)
    gait = task_gait(config["env"], spec)
    terms = reward_terms(config["env"]["rewards"], spec, gait)
    assert {"track_lin_vel", "track_yaw_rate"} <= set(terms)
    assert "gait_contact" in terms and gait is not None


HUMANOID = ["balances", "fine", "calm"]


@pytest.mark.parametrize(
    ("robot", "stages"),
    [("tron1", ["balances", "walks", "fine"]), ("g1_12", HUMANOID), ("g1", HUMANOID)],
)
def test_a_biped_needs_no_more_than_its_name(robot, stages):
    config = plain(compose_task([f"robot={robot}"]))
    assert config["env"]["scene"]["num_envs"] == 256
    assert [name for name, stage in config["stages"].items() if stage] == stages
    before, after = (with_stage(config, name)["algorithm"] for name in (stages[stages.index("fine") - 1], "fine"))
    # Entropy ends small, whatever a pack begins with; the student's own success trains its encoder in the end.
    assert (before["entropy_coef"], after["entropy_coef"]) == (0.001, 0.0)
    assert (before["student_encoder_gradient"], after["student_encoder_gradient"]) == ("auto", "surrogate")
    # With `stages=null` nothing changes.
    assert not compose_task([f"robot={robot}", "stages=null"])["stages"]


def test_every_morphology_of_a_spec_has_a_pack():
    for path in (TASKS.parent / "assets" / "robots").glob("*/robot.yaml"):
        assert (TASKS / "morphology" / f"{load_robot(path).morphology}.yaml").is_file()


def test_a_robot_of_point_feet_is_never_told_to_stand_still():
    env = plain(compose_task(["robot=tron1"]))["env"]
    gait = task_gait(env, load_robot("tron1"))
    assert gait is not None and gait.still == 0.0
    assert env["commands"]["lin_vel_x"] == [-0.6, 0.6]


def test_packs_do_not_touch_the_randomization_group():
    for robot in ("go2", "tron1", "g1_12"):
        env = plain(compose_task([f"robot={robot}", "randomization=none"]))["env"]
        assert not any(env["randomization"].values()) and not env["pushes"]["enabled"]


def test_a_gait_can_be_taken_away_and_given():
    spec = load_robot("tron1")
    config = compose_task(["robot=tron1", "env.gait.frequency=1.5", "env.gait.offsets=[0.5,0]"])
    assert task_gait(plain(config)["env"], spec) == Gait(1.5, (0.5, 0.0), 0.55, 0.08)
    without = plain(compose_task(["robot=tron1", "env.gait=null"]))["env"]
    assert task_gait(without, spec) is None
    assert not {"gait_contact", "swing_height"} & set(reward_terms(without["rewards"], spec, None))
    trot = compose_task(["env.gait={frequency:2,offsets:[0,0.5,0.5,0],duty:0.5,foot_height:0.1}"])
    assert task_gait(plain(trot)["env"], load_robot("go2")) == Gait(**GAIT, still=0.05, linger=1.0)


def test_a_task_from_before_there_were_gaits_has_none():
    before = {key: value for key, value in plain(compose_task([]))["env"].items() if key != "gait"}
    assert task_gait(before, load_robot("go2")) is None
    changed = plain(apply_overrides({"env": before}, ["env.decimation=2"]))
    assert task_gait(changed["env"], load_robot("go2")) is None


def test_offsets_by_pattern():
    spec = load_robot("go2")
    gait = task_gait({"gait": GAIT | {"offsets": {"(FL|RR)_foot": 0.0, "(FR|RL)_foot": 0.5}}}, spec)
    assert gait is not None and gait.offsets == (0.0, 0.5, 0.5, 0.0)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"offsets": [0.0, 0.5]}, r"env\.gait\.offsets: 2 numbers for the 4 feet of 'go2': FL_foot"),
        ({"offsets": {"FL_foot": 0.0}}, r"env\.gait\.offsets: 0 of the patterns .* match the foot 'FR_foot'"),
        ({"offsets": {".*": 0.0, "FL.*": 0.5}}, r"env\.gait\.offsets: 2 of the patterns"),
        ({"offsets": {".*": 0.0, "hand": 0.5}}, r"env\.gait\.offsets: 'hand' matches no foot"),
    ],
)
def test_wrong_gaits_are_named(change, message):
    with pytest.raises(ValueError, match=message):
        task_gait({"gait": GAIT | change}, load_robot("go2"))


def test_posture_skips_only_what_is_optional():
    spec = load_robot("go2")

    def weights(**params):
        node = {"alive": {"weight": 1}, "posture": {"weight": -1, "params": params}}
        return reward_terms(node, spec, None).get("posture")

    term = weights(joints={"FL_.*": 2.0}, optional={".*_hip_joint": 0.5, ".*elbow.*": 1.0})
    assert term is not None and term.params["weights"] == (2.0, 2.0, 2.0, 0.5, 0, 0, 0.5, 0, 0, 0.5, 0, 0)
    assert weights(optional={".*elbow.*": 1.0}) is None
    with pytest.raises(ValueError, match=r"posture\.params\.joints: no joint of 'go2' matches '\.\*elbow\.\*'"):
        weights(joints={".*elbow.*": 1.0})


def test_feet_keep_a_share_of_their_distance_in_the_nominal_pose():
    spec = load_robot("go2")
    params = reward_terms({"feet_distance": {"weight": -1.0}}, spec, None)["feet_distance"].params
    assert (params["left"], params["right"]) == ((0, 2), (1, 3))
    assert params["minimum"] == pytest.approx((0.6 * 2 * 0.17273066, 0.6 * 2 * 0.17176926), abs=1e-6)
    given = {"feet_distance": {"weight": -1.0, "params": {"minimum": 0.1}}}
    assert reward_terms(given, spec, None)["feet_distance"].params["minimum"] == (0.1, 0.1)


def test_a_height_may_be_a_share_of_the_nominal_one():
    spec = load_robot("go2")

    def target(**params):
        terms = reward_terms({"base_height": {"weight": -1.0, "params": params}}, spec, None)
        return terms["base_height"].params["target"]

    assert target(target=None) == spec.nominal_height and target(target=0.3) == 0.3
    assert target(share=0.5) == 0.5 * spec.nominal_height


@pytest.mark.parametrize(("robot", "offsets"), [("go2", (0.0, 0.5, 0.5, 0.0)), ("go1", None), ("g1_12", (0.0, 0.5))])
def test_feet_alternate_whatever_they_are_called(robot, offsets):
    spec = load_robot(robot)
    node = {"frequency": None, "offsets": "alternate", "duty": 0.5, "foot_height": None}
    gait = task_gait({"gait": node}, spec)
    assert gait is not None
    position = foot_frames(spec).position
    for i, j in itertools.combinations(range(len(spec.feet)), 2):
        ahead = abs(position[i, 0] - position[j, 0]) > 0.1
        across = position[i, 1] * position[j, 1] < 0
        assert (gait.offsets[i] != gait.offsets[j]) == (ahead != across)
    if offsets is not None:
        assert gait.offsets == offsets


def test_a_gait_without_figures_is_that_of_the_robots_size():
    spec = load_robot("go2")
    node = {"frequency": None, "offsets": "alternate", "duty": 0.5, "foot_height": None}
    gait = task_gait({"gait": node}, spec)
    assert gait is not None and gait.frequency == 2.0 and gait.foot_height == 0.08
    # Four times as high, half as often (Froude).
    large = task_gait({"gait": node}, dataclasses.replace(spec, nominal_height=4 * spec.nominal_height))
    assert large is not None and large.frequency == 1.0 and large.foot_height == 0.32
