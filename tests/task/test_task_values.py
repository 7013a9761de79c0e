"""Keys, types and ranges of the whole task tree, before anything is built. No torch, no simulation."""

from __future__ import annotations

import inspect

import pytest

from legged_cts.envs.fit import action_scale, check_task_and_robot
from legged_cts.robots.spec import load_robot
from legged_cts.task.check import all_paths, check_task, check_value, renewed
from legged_cts.training.compose import apply_overrides, compose_task, plain

TASK = plain(compose_task(["device=cpu"]))
ROUGH = plain(compose_task(["device=cpu", "terrain=rough"]))


def changed(*overrides: str, base: dict = TASK) -> dict:
    return plain(apply_overrides(base, overrides))


@pytest.mark.parametrize(
    "words",
    [
        *([f"algorithm={name}"] for name in ("cts", "ppo", "kdrl", "adaptive_exposure", "estimator", "two_stage")),
        *([f"robot={name}"] for name in ("go1", "g1", "g1_12", "tron1")),
        ["terrain=rough", "size=paper", "randomization=none"],
        *([f"student={name}"] for name in ("gru", "lstm", "moe")),
        *([f"symmetry={name}"] for name in ("augment", "loss")),
    ],
    ids=" ".join,
)
def test_what_the_tree_holds_is_allowed(words: list[str]) -> None:
    check_task_and_robot(plain(compose_task(words)))


@pytest.mark.parametrize(
    ("word", "message"),
    [
        ("runner.save_interval=0", "runner.save_interval must be a whole number of at least 1, got 0"),
        ("ppo.min_std=-0.1", "ppo.min_std must be a number of at least 0, got -0.1"),
        ("networks.actor.distribution_cfg.std_range=[0.1,0.5]", "must be within std_range .* got 1"),
        ("evaluation=null", "evaluation must be a group with the keys enabled, episodes, duration, got null"),
        ("evaluation.duration=1", "evaluation.duration must be a number of seconds above 1"),
        ("env.rewards.action_rate=fast", "env.rewards.action_rate must be a group with the keys weight, params"),
        ("env.rewards.action_rate.weight=fast", "env.rewards.action_rate.weight must be a finite number, got 'fast'"),
        ("env.rewards.action_rate.weight=inf", "env.rewards.action_rate.weight must be a finite number, got inf"),
        ("env.randomization=null", "env.randomization must be a group with the keys friction"),
        ("env.pushes=null", "env.pushes must be a group with the keys enabled"),
        ("env.actions.clip=null", "env.actions.clip must be a number above 0, got null"),
        ("env.actions.clip=-1", "env.actions.clip must be a number above 0, got -1"),
        ("env.actions.scale=[]", "env.actions.scale must be null, a number above 0, one for each joint"),
        ("env.actions.scale=0", "env.actions.scale must be null, a number above 0, one for each joint"),
        ("env.actions.scale={hip:-1}", "env.actions.scale must be null, a number above 0, one for each joint"),
        ("env.actions.delay_ms=20", "env.actions.delay_ms must be a list of at least one delay"),
        ("env.actions.delay_ms=[]", "env.actions.delay_ms must be a list of at least one delay"),
        ("env.actions.delay_ms=[7]", "env.actions.delay_ms: 7 ms is not a whole number of 5 ms ticks"),
        ("env.actions.delay_ms=[25]", r"between 0 and one control step \(20 ms\)"),
        ("env.observations.noise=null", "env.observations.noise must be a group with the keys enabled"),
        ("env.observations.noise.joint_vel=null", "env.observations.noise.joint_vel must be a number of at least 0"),
        ("env.observations.noise.joint_vel=-1", "env.observations.noise.joint_vel must be a number of at least 0"),
        ("env.observations.history_length=0", "history_length must be a whole number of at least 1"),
        ("env.observations.privileged.friction=maybe", "privileged.friction must be true, false or auto, got 'maybe'"),
        ("env.terminations=null", "env.terminations must be a group with the keys nan_state"),
        ("env.terminations.tilt={limit:-1}", r"env.terminations.tilt must be .* a mapping with limit \(at least 0\)"),
        ("env.curriculum=null", "env.curriculum must be a group with the keys terrain_levels"),
        ("env.commands.heading=2", "env.commands.heading must be true, false or a share from 0 to 1"),
        ("env.commands.heading=yes_please", "env.commands.heading must be true, false or a share from 0 to 1"),
        ("env.commands.heading_stiffness=null", "env.commands.heading_stiffness must be a number of at least 0"),
        ("env.commands.zero_probability=1.5", "env.commands.zero_probability must be a number from 0 to 1, got 1.5"),
        ("env.commands.resampling_s=0", "env.commands.resampling_s must be a number above 0, got 0"),
        ("env.commands.lin_vel_x=fast", "env.commands.lin_vel_x must be a range"),
        ("env.commands.lin_vel_x=[1,-1]", "env.commands.lin_vel_x must be a range .* with low <= high"),
        ("env.decimation=2.5", "env.decimation must be a whole number of at least 1 .*, got 2.5"),
        ("env.decimation=0", "env.decimation must be a whole number of at least 1 .*, got 0"),
        ("env.decimation=true", "env.decimation must be a whole number of at least 1 .*, got true"),
        ("env.sim.dt=0", "env.sim.dt must be a number of seconds above 0"),
        ("env.episode_length_s=-1", "env.episode_length_s must be a number above 0, got -1"),
        ("env.randomization.friction=[-1,-0.5]", "env.randomization.friction must be a range .* from 0"),
        ("env.randomization.friction=[2,1]", "env.randomization.friction must be a range .* with low <= high"),
        ("env.scene.num_envs=0", "env.scene.num_envs must be 'auto' or a whole number"),
        ("env.scene.num_envs=many", "env.scene.num_envs must be 'auto' or a whole number"),
        ("env.gait={frequency:2,offsets:[0,0.5,0.5,0],duty:1,foot_height:0.1}", "env.gait.duty must be a number"),
        ("+env.gait={dutty:1}", "env.gait.dutty is unknown; did you mean 'duty'"),
        ("+env.rewards.track_lin_vel.params.sgima=1", "params.sgima is unknown; did you mean 'sigma'"),
        ("env.rewards.track_lin_vel.params.sigma=0", "params.sigma must be a number above 0, got 0"),
        ("env.rewards.hip_default.params.joints=['(']", "params.joints must be null or a list of patterns"),
        ("env.rewards.hip_default.params.joints=[hipp]", "no joint of 'go2' matches"),
        ("physics=mjwarp", "physics='mjwarp' is unknown; did you mean 'newton_mjwarp'"),
        ("logger=paper", "logger='paper' is unknown. Allowed: tensorboard, wandb, none"),
        ("device=gpu", "device must be auto, cpu or cuda:<number>, got 'gpu'"),
        ("seed=-1", r"seed must be a whole number in \[0, 2\^32\), got -1"),
        ("max_iterations=1" + "0" * 400, "max_iterations must be .* got a whole number of more than 18 digits"),
        ("max_minutes=nan", "max_minutes must be a number above 0, got nan"),
        ("solver.iterations=0", "solver.iterations must be a whole number of at least 1"),
        ("+solver.thread=1", "solver.thread is unknown; did you mean 'threads'"),
        ("algorithm.gamma=2", "algorithm.gamma must be a number from 0 to 1, got 2"),
        ("algorithm.schedule=adaptiv", "algorithm.schedule='adaptiv' is unknown; did you mean 'adaptive'"),
        ("networks.actor.hidden_dims=[0]", "networks.actor.hidden_dims must be a list of whole numbers of at least 1"),
        ("runner.obs_groups.critic=[privilegde]", "runner.obs_groups must be lists of proprioception, history"),
        ("+runner.logger=wandb", "runner.logger is unknown"),
        ("+video=true", "video is unknown"),
        ("robot=3", "robot must be a text, got 3"),
        ("terrain=null", "terrain must be a group with the keys name, type"),
        ("+terrain.levels=3", "terrain.levels has no effect on a plane"),
    ],
)  # fmt: skip
def test_a_wrong_value_is_named_with_what_is_allowed(word: str, message: str) -> None:
    with pytest.raises(ValueError, match=message) as caught:
        check_task_and_robot(changed(word))
    assert len(str(caught.value).splitlines()) == 1


def test_a_floor_above_the_first_noise_is_refused() -> None:
    with pytest.raises(ValueError, match=r"must be within std_range \(from ppo.min_std on\) \[1.5, 1e\+06\], got 1"):
        check_task_and_robot(plain(compose_task(["ppo.min_std=1.5"])))


@pytest.mark.parametrize(
    ("word", "message"),
    [
        ("terrain.levels=0", "terrain.levels must be a whole number of at least 1"),
        ("terrain.levels=null", "terrain.levels is missing; a grid needs levels"),
        ("terrain.resolution=1e-300", "terrain.resolution must be a number of metres of at least 0.01"),
        (
            "+terrain.kinds.stair_up={proportion: 1}",
            "no kind of terrain 'stair_up'; did you mean 'stairs_up'",
        ),
        ("terrain.kinds.slopes.slope=steep", "terrain.kinds.slopes.slope must be a number of at least 0"),
        ("terrain.kinds={flat: {proportion: 0}}", "terrain.kinds: every proportion is zero"),
        ("terrain.size=5000", "terrain: levels, columns, size, border and resolution make"),
        ("terrain.type=cube", "terrain.type='cube' is unknown"),
    ],
)
def test_a_wrong_terrain_is_named(word: str, message: str) -> None:
    base = changed("terrain.kinds=null", base=ROUGH) if word.startswith("terrain.kinds={") else ROUGH
    with pytest.raises(ValueError, match=message):
        check_task(changed(word, base=base))


@pytest.mark.parametrize(
    ("key", "right"),
    [
        ("num_envs", "env.scene.num_envs"),
        ("env.num_envs", "env.scene.num_envs"),
        ("decimaton", "env.decimation"),
        ("env.rewards.action_rte", "action_rate"),
        ("env.rewards.action_rte.weight", "env.rewards.action_rate.weight"),
        ("max_iteration", "max_iterations"),
        ("resampling_s", "env.commands.resampling_s"),
    ],
)
def test_an_unknown_key_names_the_nearest_anywhere_in_the_tree(key: str, right: str) -> None:
    with pytest.raises(ValueError, match=rf"{key} is unknown; did you mean '{right}'\?"):
        check_value(tuple(key.split(".")), 1)


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("env.rewards.action_rate", -0.02),
        ("env.rewards.action_rate", None),
        ("env.rewards.action_rate.weight", None),
        ("env.actions.scale", 0.5),
        ("env.actions.scale", {".*_hip_joint": 0.125, ".*(thigh|calf)_joint": 0.25}),
        ("env.pushes", {"enabled": True}),
        ("env.terminations.tilt.limit", 0.5),
        ("algorithm.teachers.first.checkpoint", "runs/a"),
        ("networks.student_encoder.cell", "gru"),
    ],
)
def test_right_keys_and_values_pass_alone(key: str, value: object) -> None:
    check_value(tuple(key.split(".")), value)


def test_the_description_knows_every_term_of_the_environment() -> None:
    from rsl_rl.utils import resolve_nn_activation

    from legged_cts.envs import reward_params
    from legged_cts.mdp.gait_rewards import GAIT_TERMS
    from legged_cts.mdp.observations import PRIVILEGED
    from legged_cts.mdp.rewards import REWARDS
    from legged_cts.mdp.terminations import TERMINATIONS
    from legged_cts.robots.proprioception import TERMS
    from legged_cts.task import schema

    def below(path: str) -> set[str]:
        depth = path.count(".") + 1
        return {key.split(".")[depth] for key in all_paths() if key.startswith(f"{path}.")}

    assert below("env.rewards") == set(REWARDS)
    for name, function in REWARDS.items():
        if name not in reward_params._RESOLVED:
            assert below(f"env.rewards.{name}.params") == set(list(inspect.signature(function).parameters)[1:]), name
    assert set(reward_params.GAIT_TERMS) == {term.__name__ for term in GAIT_TERMS}
    assert below("env.terminations") == set(TERMINATIONS)
    assert below("env.observations.scales") == set(TERMS)
    assert below("env.observations.noise") == {*(name for name, term in TERMS.items() if term.measured), "enabled"}
    assert below("env.observations.privileged") == {*PRIVILEGED, "height_scan"}
    for name in schema.ACTIVATIONS:
        resolve_nn_activation(name)


def test_an_action_scale_is_one_number_or_one_per_joint() -> None:
    go2 = load_robot("go2")
    assert action_scale(None, go2) == go2.action_scale and action_scale(1, go2) == 1.0
    by_pattern = action_scale({".*_hip_joint": 0.125, ".*(thigh|calf)_joint": 0.25}, go2)
    assert by_pattern == (0.125, 0.25, 0.25) * 4 == action_scale([0.125, 0.25, 0.25] * 4, go2)
    for value, message in (
        ([0.1], "1 numbers for the 12 joints of 'go2'"),
        ({".*hip.*": 0.1}, "0 of the patterns .* match the joint 'FL_thigh_joint'"),
        ({".*": 0.1, "FL_.*": 0.2}, "2 of the patterns .* match the joint 'FL_hip_joint'"),
        ({".*": 0.1, "hand": 0.2}, "'hand' matches no joint of 'go2'"),
    ):
        with pytest.raises(ValueError, match=f"env.actions.scale: {message}"):
            action_scale(value, go2)


def test_with_symmetry_mirrored_joints_share_their_scale() -> None:
    words = ["symmetry=augment", "env.actions.scale={FL_.*:0.2,FR_.*:0.25,R._.*:0.25}"]
    with pytest.raises(ValueError, match="FL_hip_joint and its mirror image FR_hip_joint must have the same scale"):
        check_task_and_robot(plain(compose_task(words)))
    check_task_and_robot(plain(compose_task(["symmetry=none", *words[1:]])))


def test_a_checkpoint_of_an_older_version_gets_the_names_of_today() -> None:
    old = {**TASK, "video": False, "evaluation": {"enabled": True, "episodes": 4, "duration_s": 9.0}}
    assert renewed(old)["evaluation"]["duration"] == 9.0
    check_task(renewed(old))
    check_task(changed("seed=2", base=old))
