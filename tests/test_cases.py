"""Which test holds which of the faults that users met: each case by name, `pytest tests/test_cases.py` counts them.

The cases are small inputs that failed once; their names are those of the reports.
"""

from __future__ import annotations

import ast
from functools import cache
from pathlib import Path

import pytest

HERE = Path(__file__).parent
CASES = {
    # A stranger's files, and work in progress
    "01_checkpoint_runs_shell_command": "test_a_class_name_in_a_checkpoint_runs_no_shell_command",
    "02_viewer_any_web_page": "test_only_the_own_page_may_open_a_websocket",
    "03_viewer_nan_slider": "test_a_slider_keeps_to_its_range_whatever_a_page_sends",
    "04_yaml_bomb_hangs": "test_what_could_hang_or_hide_something_is_refused_in_one_line",
    "06_resume_from_older_checkpoint_loses_new_ones":
        "test_a_run_resumed_from_an_older_checkpoint_is_the_newest_and_the_old_branch_is_kept",
    "07_compare_yaml_runs_code": "test_no_word_of_a_comparison_reaches_more_than_the_task",
    "08_disk_full": "test_a_full_disk_is_named_whatever_file_meets_it_first",
    "09_ctrl_c_outside_learn": "test_whatever_is_interrupted_ends_with_one_line",
    "11_robot_name_is_a_path": "test_spoilt_specs",
    "12_onnx_contract": "test_a_network_that_is_not_the_contract_s_is_noticed",
    "13_more_tracebacks": "test_a_malformed_dump_is_one_line_that_names_the_entry",
    # Users' words
    "action_scale_override_unusable": "test_the_action_scale_is_the_policys_and_not_the_robots",
    "checkpoint_error_traceback":
        "test_a_checkpoint_that_does_not_fit_is_one_line_and_the_finished_run_stays",
    "config_tracebacks": "test_a_wrong_command_line_ends_without_a_trace",
    "controller_command_not_limited":
        "test_commands_are_clipped_to_the_trained_ranges_and_that_is_said_once",
    "copied_robot_usd_cache_collision": "test_the_cache_is_reused_until_the_content_changes",
    "deploy_python_version": "test_the_wheel_installs_and_answers_alike_on_another_python",
    "resume_reward_weight_ignored": "test_the_resumed_configuration_has_the_new_weight",
    "reward_weight_overridden_later":
        "test_what_the_command_line_gives_holds_in_a_new_run_and_when_resuming",
    "same_second_same_folder": "test_two_runs_of_one_second_get_two_folders",
    "sighup_loses_work": "test_a_signal_finishes_the_iteration_and_saves",
    "standing_drift_go1": "test_sim2sim_reports_standing_and_speeds_of_a_robot_that_holds_its_pose",
    "terrain_curriculum_demotes_perfect": "test_who_follows_every_command_is_never_demoted",
    # Vendors' robots
    "base_on_ground": "test_a_base_frame_on_the_ground_is_lifted_to_the_hips",
    "body_dash": "test_names_that_usd_changes_are_changed_in_the_draft",
    "closed_loop": "test_closed_loops_and_the_rest_that_is_dropped_are_said",
    "default_contype_zero": "test_a_vendors_defaults_do_not_reach_the_ground_and_the_motors",
    "floating_joint": "test_a_floating_joint_inside_the_robot_is_named",
    "humanoid_names": "test_a_humanoids_joints_are_known_by_axes_and_not_by_names",
    "joint_named_as_mesh": "test_a_joint_named_as_a_mesh_keeps_its_name",
    "key_prone": "test_a_key_frame_that_lies_does_not_make_a_dog_a_biped",
    "light_robot": "test_mass_is_randomised_in_shares_of_a_light_base",
    "material_empty": "test_looks_do_not_stop_a_draft",
    "mjcf_extension": "test_any_ending_and_includes_and_plugins_load",
    "nested_fixed_rotation": "test_chains_of_fixed_links_that_turn_keep_axes_places_and_masses",
    "offset_middle_axis": "test_a_joint_may_have_its_origin_anywhere_along_its_axis",
    "placeholder_effort": "test_placeholder_limits_are_named_and_replaced",
    "sensor_inertia": "test_one_sloppy_inertia_does_not_stop_the_robot",
    "soft_draft": "test_drafted_gains_pass_the_doctors_own_test",
    "texture_file": "test_looks_do_not_stop_a_draft",
    "trunk_in_world": "test_a_trunk_that_is_the_world_becomes_a_body",
    "wheels": "test_wheels_are_named_and_held",
    "xacro": "test_a_xacro_is_told_to_be_expanded",
}  # fmt: skip


@cache
def defined() -> frozenset[str]:
    """Names of all tests of the suite."""
    trees = (ast.parse(path.read_text()) for path in HERE.rglob("test_*.py"))
    return frozenset(node.name for tree in trees for node in ast.walk(tree) if isinstance(node, ast.FunctionDef))


@pytest.mark.parametrize("case", CASES)
def test_a_case_has_its_test(case: str) -> None:
    assert CASES[case] in defined()
