"""Checkpoints of strangers: read, checked, and nothing of them is run."""

from __future__ import annotations

import math
import runpy
import zipfile
from pathlib import Path
from typing import Any

import pytest
import torch
from stranger_files import checkpoint_content, put, save_torch

from legged_cts.export.checkpoint import export_checkpoint
from legged_cts.training.checkpoint import CheckpointError, load_checkpoint
from legged_cts.training.foreign import MAX_PICKLE
from legged_cts.trust.names import TRUST

ROOT = Path(__file__).parents[2]


def test_a_class_name_in_a_checkpoint_runs_no_shell_command(tmp_path, monkeypatch, capsys):
    monkeypatch.setenv(TRUST, "")
    monkeypatch.chdir(tmp_path)
    content = put(checkpoint_content(), "env_info.actions", "touch canary")
    put(content, "config.networks.actor.distribution_cfg", {"class_name": "os:system"})
    path = save_torch(tmp_path / "evil.pt", content)
    for script, words in (("export", []), ("play", ["video=out.mp4"]), ("evaluate", [])):
        main = runpy.run_path(str(ROOT / "scripts" / f"{script}.py"))["main"]
        try:
            status = main([f"checkpoint={path}", *words])
        except SystemExit as error:
            status = error.code
        assert status == 2
        assert "networks.actor.distribution_cfg.class_name 'os:system'" in capsys.readouterr().err
    assert not (tmp_path / "canary").exists()


def test_a_class_of_ones_own_in_a_checkpoint_needs_the_word_trust(tmp_path, monkeypatch):
    monkeypatch.setenv(TRUST, "")
    (tmp_path / "my_nets.py").write_text(
        "from legged_cts.models.encoders import LatentEncoder\nclass Mine(LatentEncoder):\n    pass\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    content = put(checkpoint_content(), "config.networks.student_encoder.class_name", "my_nets:Mine")
    path = save_torch(tmp_path / "mine.pt", content)
    main = runpy.run_path(str(ROOT / "scripts" / "export.py"))["main"]
    assert main([f"checkpoint={path}"]) == 2
    assert main([f"checkpoint={path}", "trust=my_nets"]) == 0


@pytest.mark.parametrize(
    ("entry", "value", "message"),
    [
        (
            "config.algorithm.symmetry_cfg",
            {"data_augmentation_func": "os:system"},
            "data_augmentation_func 'os:system'",
        ),
        ("config.networks.teacher_encoder.class_name", "shutil:rmtree", "teacher_encoder.class_name 'shutil:rmtree'"),
        ("config.hydra", {"callbacks": {"x": {"_target_": "os.mkdir"}}}, "_target_"),
        ("config.robot", "${oc.env:HOME}", "what is stored is resolved"),
        ("config.robot", "go2' hydra.run.dir='/tmp/x", "config.robot: must be the name of a robot or a path"),
        ("config.env.sim.dt", 1e-300, r"config\.env\.sim\.dt: must be a number from 1e-05 to 0\.1"),
        ("config.env.sim.dt", math.nan, r"config\.env\.sim\.dt: must be a finite number"),
        ("config.env.decimation", 10**400, r"config\.env\.decimation: must be below 2\^63"),
        ("config.networks.actor.hidden_dims", [100_000] * 3, "hidden_dims: must be a whole number from -1 to 10000"),
        ("config.networks.actor.hidden_dims", [8] * 10_000, "hidden_dims: at most 32 layers"),
        ("config.networks.actor.hidden_dims", [10_000] * 20, "has more than .* parameters"),
        ("config.networks.student_encoder.experts", 10**6, "experts: must be a whole number from 1 to 100"),
        (
            "config.terrain",
            {"levels": 200, "columns": 1000, "size": 100.0, "border": 100.0, "resolution": 0.01},
            r"make 2.02e.13 heights",
        ),
        ("config.env.scene.num_envs", 10**9, "num_envs: must be a whole number from 1 to"),
        ("config.algorithm", [1], "config.algorithm: must be a mapping"),
        ("env_info.actions", "12", "env_info.actions: must be a whole number from 1 to 200"),
        ("env_info.actions", True, "env_info.actions: must be a whole number"),
        ("env_info.history_length", 10**9, "env_info.history_length: must be a whole number from 1 to 500"),
        ("env_info.proprioception", 45.5, "env_info.proprioception: must be a whole number"),
        ("env_info.robot", "../../evil", "env_info.robot: must be at most 64 letters"),
        ("env_info.command_ranges", {"lin_vel_x": [1.0, -1.0]}, "env_info.command_ranges: must be"),
        ("env_info.joints", "FL", "env_info.joints: must be a list of names"),
        ("iter", -1, "iter: must be a whole number"),
        ("total_steps", math.inf, "total_steps: must be a whole number"),
        ("best_score", math.nan, "best_score: must be a number"),
        ("actor_state_dict", [1], "actor_state_dict: must be a mapping"),
        ("actor_state_dict.x", torch.zeros(1).expand(10**12), "is a tensor of 1,000,000,000,000 numbers"),
        ("actor_state_dict.x", torch.eye(3).to_sparse(), "must be a dense tensor"),
        ("actor_state_dict.x", torch.zeros(3, device="meta"), "dense tensor|damaged"),
    ],
)
def test_types_and_ranges_are_checked_before_anything_is_built(tmp_path, entry: str, value: Any, message: str):
    path = save_torch(tmp_path / "a.pt", put(checkpoint_content(), entry, value))
    with pytest.raises(CheckpointError, match=message):
        load_checkpoint(path)


def test_a_class_that_the_library_lacks_is_one_line(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    entry = "config.networks.actor.distribution_cfg.class_name"
    path = save_torch(tmp_path / "a.pt", put(checkpoint_content(), entry, "rsl_rl.modules.os:GaussianDistribution"))
    for script in ("export", "evaluate"):
        main = runpy.run_path(str(ROOT / "scripts" / f"{script}.py"))["main"]
        try:
            status = main([f"checkpoint={path}"])
        except SystemExit as error:
            status = error.code
        assert status == 2 and "No module named 'rsl_rl.modules.os'" in capsys.readouterr().err


def test_values_that_refer_to_each_other_without_end_are_refused(tmp_path):
    bomb: list[Any] = [1]
    for _ in range(40):
        bomb = [bomb, bomb]
    loop: list[Any] = []
    loop.append(loop)
    for value in (bomb, loop, [[0] * 1000] * 1000):
        path = save_torch(tmp_path / "a.pt", put(checkpoint_content(), "config.x", value))
        with pytest.raises(CheckpointError, match="levels or 200,000 of them"):
            load_checkpoint(path)


def test_flipped_bytes_are_noticed_wherever_they_are(tmp_path):
    path = save_torch(tmp_path / "a.pt", checkpoint_content())
    whole = path.read_bytes()
    with zipfile.ZipFile(path) as archive:
        entries = [entry for entry in archive.infolist() if entry.file_size > 100]
    # A local header of 30 bytes, then its name and padding, whose lengths are its last four bytes.
    lengths = [whole[entry.header_offset + 26 : entry.header_offset + 30] for entry in entries]
    begins = [30 + int.from_bytes(part[:2], "little") + int.from_bytes(part[2:], "little") for part in lengths]
    places = [e.header_offset + begin + e.file_size // 2 for e, begin in zip(entries, begins, strict=True)]
    assert len(places) >= 10
    for place in places:
        path.write_bytes(whole[:place] + bytes([whole[place] ^ 0xFF]) + whole[place + 1 :])
        with pytest.raises(CheckpointError, match="is damaged"):
            load_checkpoint(path)


def test_an_archive_that_unpacks_to_more_than_it_is_does_not_get_unpacked(tmp_path):
    path = save_torch(tmp_path / "a.pt", checkpoint_content())
    for name, size in (("a/data/0", 10**9), ("a/data.pkl", MAX_PICKLE + 1)):
        bomb = tmp_path / "bomb.pt"
        with zipfile.ZipFile(path) as source, zipfile.ZipFile(bomb, "w", zipfile.ZIP_DEFLATED) as target:
            for entry in source.infolist():
                content = source.read(entry)
                kind = zipfile.ZIP_DEFLATED if entry.filename == name and size > 10**8 else zipfile.ZIP_STORED
                target.writestr(entry.filename, bytes(min(size, 10**7)) if entry.filename == name else content, kind)
        with pytest.raises(CheckpointError, match="it is compressed|bytes beside its tensors"):
            load_checkpoint(bomb)


def test_weights_that_are_not_finite_are_not_exported(tmp_path):
    content = checkpoint_content()
    next(iter(content["actor_state_dict"].values())).fill_(math.nan)
    path = save_torch(tmp_path / "a.pt", content)
    assert load_checkpoint(path)["iter"] == 7  # what a crashed run left can be looked at
    with pytest.raises(ValueError, match=r"actor_state_dict\..*not finite; take an earlier checkpoint"):
        export_checkpoint(path)


def test_networks_that_do_not_fit_are_one_line(tmp_path):
    changes: list[tuple[str, Any]] = [
        ("actor_state_dict", {}),
        ("actor_state_dict.mlp.0.weight", torch.zeros(2, 2)),
        ("config.networks.actor.activation", 3),
        ("config.runner.obs_groups", {"actor": 3}),
        ("config.networks.actor.latent_dim", "x"),
        ("config.env", {}),
    ]
    for entry, value in changes:
        content = checkpoint_content()
        node = content["actor_state_dict"] if entry.startswith("actor_state_dict.") else None
        if node is None:
            put(content, entry, value)
        else:
            node[entry.removeprefix("actor_state_dict.")] = value
        with pytest.raises(ValueError) as caught:
            export_checkpoint(save_torch(tmp_path / "a.pt", content))
        assert str(caught.value) and "\n" not in str(caught.value)
