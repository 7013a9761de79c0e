"""Hydra's words and options as people write them, and mutated command lines of every script: never a trace."""

from __future__ import annotations

import runpy
import sys
from pathlib import Path

import pytest
import torch
from hypothesis import HealthCheck, given, seed, settings
from hypothesis import strategies as st

from legged_cts.deploy.policy_file import policy_file
from legged_cts.deploy.sim2sim import Sim2SimOptions
from legged_cts.deploy.words import parse_words, user_errors
from legged_cts.envs.builder import resolve_device
from legged_cts.evaluation.compare.options import split_words as compare_words
from legged_cts.evaluation.courses import courses_config
from legged_cts.evaluation.options import EvaluateOptions
from legged_cts.evaluation.options import split_words as evaluate_words
from legged_cts.evaluation.rollout import evaluation_config
from legged_cts.robots.spec import assets_dir
from legged_cts.task.words import (
    check_early,
    check_overrides,
    check_word,
    meant_key,
    parse_word,
    plain_words,
    quoted,
    values,
)
from legged_cts.terrain.courses import choose
from legged_cts.training.command_line import check, in_run_dir, jobs, read
from legged_cts.training.compose import apply_overrides, compose_task, plain
from legged_cts.viewer.play import PlayOptions

SCRIPTS = Path(__file__).parents[2] / "scripts"


def refused(argv: list[str]) -> str:
    with pytest.raises(ValueError) as caught:
        check(read(argv))
    assert len(str(caught.value).splitlines()) == 1
    return str(caught.value)


@pytest.mark.parametrize(
    ("argv", "message"),
    [
        (["num_envs=64"], "num_envs is unknown; did you mean 'env.scene.num_envs'?"),
        (["--num_envs", "64"], "'--num_envs' is no option; did you mean 'env.scene.num_envs=...'?"),
        (["--num-envs=64"], "'--num-envs' is no option; did you mean 'env.scene.num_envs=...'?"),
        (["--multirn"], "'--multirn' is no option; did you mean '--multirun'?"),
        (["--headless"], "'--headless' is no option"),
        (["physics=mjwarp"], "physics='mjwarp' is unknown; did you mean 'newton_mjwarp'?"),
        (["env.rewards.action_rte=1"], "did you mean 'env.rewards.action_rate.weight'?"),
        (["evaluation=null"], "evaluation must be a group"),
        (["stages.wlaks=null"], "stages.wlaks is unknown; did you mean 'walks'?"),
        (["terrain=rough", "terrain.kinds.stair_up.proportion=2"], "stair_up is unknown; did you mean 'stairs_up'?"),
        (["+stages.x=null"], "+stages.x=null changes nothing"),
        (["stages={}"], "stages={} changes nothing; stages=null leaves out what it has"),
        (["env.rewards={}"], "env.rewards={} changes nothing"),
        (["pushes=0,0.4", "-m"], "a sweep cannot hold 0"),
        (["env.decimation=2.5"], "env.decimation must be a whole number"),
        (["video=true"], "video is unknown"),
        (["runner.logger=wandb"], "runner.logger is unknown"),
        (["seed"], "'seed' is no key=value word; did you mean 'seed=...'?"),
        (["seed=1,2"], "seed=1,2: several values; add -m"),
        (["seed=range(1,100000000)", "-m"], "a sweep over more than 1000 values"),
        (["seed=shuffle(range(1,100000000))", "-m"], "a sweep over more than 1000 values"),
        (["robot=a=b"], "robot=a=b: cannot be read; put quotes around the value"),
        (["terrain=ruogh"], "terrain='ruogh' is unknown; did you mean 'rough'? Allowed: flat, rough"),
        (["+experiment=no_such"], "experiment='no_such' is unknown"),
        (["--config-dir", "/no/such/folder"], "there is no folder /no/such/folder"),
        (["--cfg", "jobs"], "'--cfg' needs one of job, hydra, all"),
        (["--config-dir"], "'--config-dir' needs a value"),
        (["seed=" + "[" * 3000], "cannot be read"),
    ],
    ids=lambda value: value[0][:30] if isinstance(value, list) else None,
)
def test_a_wrong_word_is_one_line_with_the_nearest_right_one(argv: list[str], message: str) -> None:
    assert message in refused(argv)


def test_options_stand_anywhere() -> None:
    for argv in (["-m", "seed=1,2"], ["seed=1,2", "-m"], ["robot=go2", "-m", "seed=1,2"]):
        line = read(argv)
        assert line.options.multirun and line.argv[-1] == "-m" and len(jobs(line)) == 2
    line = read(["robot=go2", "--cfg", "job", "seed=3", "--info"])
    assert line.words == ["robot=go2", "seed=3"] and line.options.cfg == "job" and line.options.info == "all"


def test_packs_and_experiments_of_a_folder_of_ones_own_are_found(tmp_path: Path) -> None:
    for name, text in {"experiment": "seed: 77", "morphology": "env: {rewards: {alive: {weight: 3.0}}}"}.items():
        (tmp_path / name).mkdir()
        (tmp_path / name / "mine.yaml").write_text(f"# @package _global_\n{text}\n")
    for argv in (
        ["--config-dir", str(tmp_path), "+experiment=mine"],
        [f"--config-dir={tmp_path}", "experiment=mine"],
        [f"hydra.searchpath=[{tmp_path}]", "+experiment=mine"],
    ):
        check(read(argv))
    with pytest.raises(ValueError, match="experiment='mime' is unknown; did you mean 'mine'"):
        check(read(["--config-dir", str(tmp_path), "+experiment=mime"]))
    (tmp_path / "experiment" / "wrong.yaml").write_text("# @package _global_\nenv: {decimation: 2.5}\n")
    with pytest.raises(ValueError, match="env.decimation must be a whole number"):
        check(read(["--config-dir", str(tmp_path), "+experiment=wrong"]))


def test_an_evaluation_finds_the_packs_of_a_folder_of_ones_own(tmp_path: Path) -> None:
    (tmp_path / "randomization").mkdir()
    (tmp_path / "randomization" / "mine.yaml").write_text("# @package env.pushes\nlin_vel: 0.123\n")
    for argv in (
        ["--config-dir", str(tmp_path)], [f"--config-dir={tmp_path}"], [f"hydra.searchpath=[{tmp_path}]"],
    ):  # fmt: skip
        _, words = evaluate_words(["policy=go2_flat", "randomization=mine", *argv])
        stored = apply_overrides(plain(compose_task(["seed=3"])), words)
        assert stored.env.pushes.lin_vel == compose_task(words).env.pushes.lin_vel == 0.123 and stored.seed == 3
        with pytest.raises(ValueError, match="randomization='mime' is unknown; did you mean 'mine'"):
            evaluate_words(["policy=go2_flat", "randomization=mime", *argv])
    for argv, message in (
        (["--config-dir", "/no/such"], "there is no folder /no/such"),
        (["--config-dir"], "'--config-dir' is no option"),
    ):
        with pytest.raises(ValueError, match=message):
            evaluate_words(["policy=go2_flat", *argv])


@pytest.mark.parametrize("name", ["a=b,c", "a b", "it's", "a(b)"])
def test_a_path_with_characters_of_hydras_grammar_is_read_as_it_is(tmp_path: Path, name: str) -> None:
    folder = tmp_path / name
    folder.mkdir()
    line = read([f"resume={folder}"])
    assert values(parse_word(line.words[0])) == [str(folder)]
    assert values(parse_word(in_run_dir(line.words)[-1])) == [str(folder)]
    assert values(parse_word(quoted("robot", str(folder)))) == [str(folder)]


def test_a_policy_is_a_file_a_folder_or_a_shipped_name(tmp_path: Path) -> None:
    shipped = assets_dir() / "policies" / "go2_rough" / "policy.onnx"
    assert policy_file("go2_rough") == policy_file(str(shipped)) == policy_file(str(shipped.parent)) == shipped
    assert policy_file(None).parent.name == "go2_flat"
    for name, message in (
        ("go2_rogh", "did you mean 'go2_rough'"),
        (str(tmp_path), "holds no policy.onnx"),
        ("model.pt", "give checkpoint=model.pt"),
    ):
        with pytest.raises((ValueError, OSError), match=message):
            policy_file(name)


@pytest.mark.parametrize(
    ("words", "options", "message"),
    [
        (["seconds=3"], PlayOptions, "did you mean 'duration'"),
        (["--duration", "3"], PlayOptions, "'--duration' is no key=value word; did you mean 'duration=...'"),
        (["duration=nan"], PlayOptions, "duration: expected a finite number, got 'nan'"),
        (["duration=inf"], PlayOptions, "duration: expected a finite number, got 'inf'"),
        (["width=200000", "height=200000"], PlayOptions, "width and height must be even and above 0, at most 4096"),
        (["seed=-1"], PlayOptions, "seed: must be a whole number from 0"),
        (["port=99999"], PlayOptions, "port: must be a whole number from 0 to 65535"),
        (["push=1"], Sim2SimOptions, "did you mean 'pushes'"),
        (["workers=0"], Sim2SimOptions, "workers: must be a whole number from 1 to 1024"),
        (["pushes=-1"], Sim2SimOptions, "pushes: must be a number from 0"),
        (["seed=-1"], Sim2SimOptions, "seed: must be a whole number from 0"),
        (["checkpoint=/no/such.pt"], PlayOptions, "checkpoint: there is no file, folder or shipped policy"),
        (["checkpoint=/no/such.pt"], EvaluateOptions, "checkpoint: there is no file, folder or shipped policy"),
    ],
)
def test_the_same_thing_has_the_same_name_everywhere(words: list[str], options: type, message: str) -> None:
    with pytest.raises((ValueError, FileNotFoundError), match=message):
        parse_words(words, options)


def test_an_evaluation_takes_the_shared_words() -> None:
    options, overrides = evaluate_words(
        ["policy=go2_rough", "duration=3", "environments=4", "pushes=0", "terrain=rough"]
    )
    assert options.duration == 3.0
    assert overrides == ["env.scene.num_envs=4", "env.pushes.enabled=false", "terrain=rough"]
    for word, message in (("epsodes=3", "did you mean 'episodes'"), ("terrain=moon", "terrain='moon' is unknown")):
        with pytest.raises(ValueError, match=message):
            evaluate_words(["policy=go2_flat", word])


KEYS = """seed env.decimation env.rewards.alive env.rewards.alive.weight env.actions.scale terrain robot resume policy
checkpoint episodes duration video output num_envs environments pushes env.pushes env..x hydra.run.dir experiment steps
size file jobs --seed -m +a.b ~seed ++env.gait device algorithm.gamma é width port role""".split()
VALUES = """1 -1 0 2.5 nan inf 1e400 null true none [1,2] [ {a:1} { 1,2 range(1,4) glob(*) choice(1,2) ${x} ${ ??? '
" a=b x.onnx x.pt /no/such é \\ go2 rough teacher all x.mp4 os:system""".split()
LINES = st.lists(
    st.builds(
        lambda key, sign, value: f"{key}{sign}{value}",
        st.sampled_from([*KEYS, "", "a b"]),
        st.sampled_from(["=", "=", "=", ""]),
        st.sampled_from([*VALUES, "", "9" * 400]) | st.text(max_size=5),
    ),
    min_size=1,
    max_size=3,
)


def read_train(argv: list[str]) -> None:
    for word in read(argv).words:
        check_word(parse_word(word))


READERS = {
    "train": read_train,
    "evaluate": evaluate_words,
    "replay_fault": lambda argv: check_overrides(plain_words(argv)),
    "compare": compare_words,
    "play": lambda argv: parse_words(argv, PlayOptions),
    "sim2sim": lambda argv: parse_words(argv, Sim2SimOptions),
}


@pytest.mark.parametrize("script", READERS)
@seed(7)
@settings(max_examples=60, deadline=None, database=None, suppress_health_check=list(HealthCheck))
@given(argv=LINES)
def test_no_command_line_ends_in_a_trace(script: str, argv: list[str]) -> None:
    try:
        READERS[script](argv)
    except (ValueError, OSError) as error:
        assert str(error).strip()


@pytest.mark.parametrize("script", ["benchmark", "dashboard", "doctor", "export", "new_robot"])
@seed(7)
@settings(max_examples=30, deadline=None, database=None, suppress_health_check=list(HealthCheck))
@given(argv=LINES)
def test_no_wrong_word_of_a_small_script_ends_in_a_trace(script: str, argv: list[str]) -> None:
    main = runpy.run_path(str(SCRIPTS / f"{script}.py"), run_name="script")["main"]
    wrong = ["no_such_key=1", *argv] if script != "benchmark" else ["physics", "no_such_key=1", *argv]
    try:
        status = main(wrong)
    except SystemExit as ended:
        status = ended.code
    assert status in (0, 2)


def test_errors_of_the_user_are_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit, match="2"), user_errors("play"):
        raise OSError("disk\nfull")
    assert capsys.readouterr().err == "play: disk full\n"


EARLY = [
    ("num_envs=64", "num_envs is unknown; did you mean 'env.scene.num_envs'?"),
    ("--num_envs", "'--num_envs' is no option; did you mean 'env.scene.num_envs=...'?"),
    ("env.decimation=2.5", "env.decimation must be a whole number"),
    ("terrain=ruogh", "terrain='ruogh' is unknown; did you mean 'rough'?"),
    ("algorithm.gama=0.9", "algorithm.gama is unknown; did you mean 'gamma'?"),
    ("algorithm.surrogate=poled", "algorithm.surrogate='poled' is unknown; did you mean 'pooled'?"),
    ("algorithm.distillation.driver.unit=stp", "algorithm.distillation.driver.unit is 'stp'; allowed are: env, step"),
    ("algorithm.distillation.drver.unit=step", "unknown key algorithm.distillation.drver"),
    ("networks.actor.activation=eluu", "networks.actor.activation='eluu' is unknown; did you mean 'elu'?"),
    ("networks.critic.hiden_dims=3", "networks.critic.hiden_dims is unknown; did you mean 'hidden_dims'?"),
    ("runner.save_interval=0", "runner.save_interval must be a whole number of at least 1"),
    ("evaluation=null", "evaluation must be a group"),
]


def test_wrong_words_are_answered_before_anything_large_is_imported() -> None:
    import subprocess

    code = "import sys\nfrom legged_cts.training.command_line import check, read\nfor word in sys.argv[1:]:\n"
    code += "    try: check(read([word])); print('right')\n    except ValueError as error: print(error)\n"
    code += "print([name for name in ('torch', 'isaaclab', 'mujoco', 'hydra', 'numpy') if name in sys.modules])"
    words = [word for word, _ in EARLY]
    done = subprocess.run(
        [sys.executable, "-c", code, *words], capture_output=True, text=True, check=True, timeout=1800
    )
    *lines, imported = done.stdout.splitlines()
    assert imported == "[]" and len(lines) == len(EARLY)
    for line, (word, message) in zip(lines, EARLY, strict=True):
        assert message in line, word


def test_keys_that_a_file_of_the_tree_or_a_plus_brings_are_no_mistakes() -> None:
    for word in ("algorithm.distillation_states=student", "+algorithm.mine=3", "networks.student_encoder.experts=4"):
        check_early(word)


def test_no_option_of_hydra_is_taken_for_a_key_of_the_task() -> None:
    from hydra._internal.utils import get_args_parser

    options = [text for action in get_args_parser()._actions for text in action.option_strings]
    assert len(options) > 10 and not any(map(meant_key, options))


@pytest.mark.parametrize("word", ["0", "0.0", "0.00", "-0", "0e3", "false", "False", "null"])
def test_no_pushes_however_they_are_written(word: str) -> None:
    assert plain_words([f"pushes={word}"]) == ["env.pushes.enabled=false"]
    assert plain_words(["pushes=true"]) == ["env.pushes.enabled=true"]
    assert plain_words(["pushes=0.4"]) == ["env.pushes.enabled=true", "env.pushes.lin_vel=0.4"]


@pytest.mark.parametrize("courses", [False, True])
def test_what_an_evaluation_decides_is_not_taken_and_forgotten(courses: bool) -> None:
    config = plain(compose_task(["terrain=rough"]))

    def made(*words: str) -> dict:
        if courses:
            return courses_config(config, choose("flat"), 4, words)
        return evaluation_config(config, 4, 20.0, words)

    for word in ("env.commands.across=0.5", "env.episode_length_s=5", "terrain.initial_level=3"):
        with pytest.raises(ValueError, match=f"{word.partition('=')[0]}: an evaluation decides that itself"):
            made(word)
    assert made()["solver"]["cone"] == "elliptic"
    assert made("solver.cone=pyramidal")["solver"]["cone"] == config["solver"]["cone"]


def test_a_gpu_that_is_not_there_and_a_name_that_is_a_path_are_refused() -> None:
    if not torch.cuda.is_available():
        with pytest.raises(ValueError, match="device=cuda:1: torch sees no GPU here; give device=cpu"):
            resolve_device("cuda:1")
    with pytest.raises(ValueError, match=r"terrain\.name must be a name of letters"):
        check_overrides(["terrain.name=../../x"])
