"""Configurations that the builder must refuse, and what it leaves out. No simulation."""

import pytest
from envs_support import composed
from omegaconf import open_dict

from legged_cts.envs.builder import build_env_cfg, proprioception_terms, resolve_num_envs


def build(*overrides):
    return build_env_cfg(composed(*overrides))


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("+env.rewards.torques.wieght=1", r"env\.rewards\.torques\.wieght .* 'weight'"),
        ("env.rewards.hip_default.params.joints=[hipp]", "no joint of 'go2' matches"),
        ("physics=bullet", "physics='bullet' is unknown"),
    ],
)
def test_the_builder_checks_what_it_builds(override, message):
    with pytest.raises(ValueError, match=message):
        build(override)


def test_auto_number_of_environments():
    assert resolve_num_envs("auto", "cpu") == 512
    assert resolve_num_envs("auto", "cuda:0") == 4096
    assert resolve_num_envs(7, "cpu") == 7


def test_zero_weight_leaves_the_term_and_its_sensor_out():
    cfg = build("env.rewards.torques.weight=0")
    terms = vars(cfg.rewards)
    assert "torques" not in terms and "feet_air_time" not in terms and "power" in terms
    assert not cfg.scene.contact_forces.track_air_time
    assert build("env.rewards.feet_air_time.weight=1").scene.contact_forces.track_air_time


def test_no_reward_at_all_is_refused():
    cfg = composed()
    for term in cfg.env.rewards.values():
        term.weight = 0.0
    with pytest.raises(ValueError, match="nothing to learn"):
        build_env_cfg(cfg)


def test_no_randomization():
    cfg = build("randomization=none")
    assert set(vars(cfg.events)) == {"reset_base", "reset_joints"}
    assert cfg.actions.joint_pos.delay_ms == [0.0]


def test_terrain_curriculum_only_on_uneven_ground():
    assert "terrain_levels" not in vars(build().curriculum)
    assert "terrain_levels" in vars(build("terrain=rough").curriculum)
    assert "terrain_levels" not in vars(build("terrain=rough", "env.curriculum.terrain_levels=false").curriculum)


def test_a_term_without_weight_stays_if_a_stage_gives_it_one():
    assert vars(build().rewards)["alive"].weight == 0.0  # the pack's stage `steady` gives it one
    assert "alive" not in vars(build("stages.steady=null").rewards)


@pytest.mark.parametrize("word", ["action_rate=null", "action_rate.weight=null"])
def test_null_leaves_a_term_out(word):
    assert "action_rate" not in vars(build(f"env.rewards.{word}").rewards)


def test_a_bare_number_is_a_weight():
    assert vars(build("env.rewards.action_rate=-0.02").rewards)["action_rate"].weight == -0.02


def test_height_scan_only_on_uneven_ground_unless_said():
    def scans(*overrides):
        return "height_scan" in vars(build(*overrides).observations)

    assert not scans() and scans("terrain=rough")
    assert scans("env.observations.privileged.height_scan=true")
    assert not scans("terrain=rough", "env.observations.privileged.height_scan=false")


def test_proprioception_terms():
    assert proprioception_terms(composed()) == [
        ("base_ang_vel", 3, 0.25),
        ("projected_gravity", 3, 1.0),
        ("command", 3, 1.0),
        ("joint_pos", 12, 1.0),
        ("joint_vel", 12, 0.05),
        ("last_action", 12, 1.0),
        ("gait_phase", 2, 1.0),
    ]


def test_a_mass_that_would_leave_a_base_without_any_is_refused_by_name():
    """The Go2's base has 6.9 kg."""
    with pytest.raises(ValueError, match=r"env\.randomization\.added_mass: .*'base' of 6.92 kg.*down to -"):
        build("env.randomization.added_mass=[-6.5,1.0]")
    with pytest.raises(ValueError, match=r"env\.randomization\.base_mass_scale: .*'base'"):
        build("env.randomization.base_mass_scale=[0.05,1.0]")


@pytest.mark.parametrize(("word", "share"), [("true", 1.0), ("false", 0.0), ("0.25", 0.25), ("1", 1.0)])
def test_a_share_of_the_commands_has_a_heading(word, share):
    command = build(f"env.commands.heading={word}").commands.velocity
    assert (command.heading_command, command.rel_heading_envs) == (share > 0.0, share)


def test_a_task_from_before_commands_could_lead_across_stairs_still_builds():
    cfg = composed()
    with open_dict(cfg):
        del cfg.env.commands.across
    assert build_env_cfg(cfg).commands.velocity.across == 0.0
