"""Encoders, the latent-conditioned actor and the deployable policies."""

import io

import numpy as np
import pytest
import torch
from rsl_rl.utils import resolve_nn_activation
from tensordict import TensorDict

from legged_cts.models.encoders import LatentEncoder
from legged_cts.models.latent_model import LatentActor, LatentModel, build_encoder
from legged_cts.models.policies import StudentPolicy, TeacherPolicy

N, FEATURES, HISTORY, PRIVILEGED, ACTIONS, LATENT = 64, 6, 5, 9, 3, 4
GROUPS = {"actor": ["proprioception"], "critic": ["privileged"], "teacher": ["privileged"], "student": ["history"]}


def observations(scale: float = 3.0, offset: float = 2.0) -> TensorDict:
    history = offset + scale * torch.randn(N, HISTORY, FEATURES)
    privileged = offset + scale * torch.randn(N, PRIVILEGED)
    return TensorDict(
        {"proprioception": history[:, -1].clone(), "history": history, "privileged": privileged}, batch_size=[N]
    )


@pytest.fixture
def actor() -> LatentActor:
    torch.manual_seed(0)
    encoder = {"hidden_dims": [32, 16], "obs_normalization": True}
    actor = LatentActor(
        observations(), GROUPS, "actor", ACTIONS, LATENT, True, encoder, (32, 16), obs_normalization=True
    )
    for _ in range(4):
        actor.update_normalization(observations())
    return actor


@pytest.fixture
def student(actor) -> StudentPolicy:
    encoder = build_encoder({"hidden_dims": [32, 16]}, (HISTORY, FEATURES), LATENT, True)
    return StudentPolicy(actor, encoder, "history", (HISTORY, FEATURES))


def test_latents_have_unit_norm(actor, student):
    obs = observations()
    for latent in (student.latent(obs["history"]), TeacherPolicy(actor).latent(obs["privileged"])):
        assert latent.shape == (N, LATENT)
        torch.testing.assert_close(latent.norm(dim=-1), torch.ones(N))


def test_unit_norm_is_optional():
    x = torch.randn(8, 5)
    encoder = LatentEncoder((5,), 4, unit_latent=False, hidden_dims=[8])
    raw = encoder(x)
    assert not torch.allclose(raw.norm(dim=-1), torch.ones(8))
    encoder.unit_latent = True
    torch.testing.assert_close(encoder(x), raw / raw.norm(dim=-1, keepdim=True))


def test_history_frames_share_the_statistics_of_proprioception(actor, student):
    obs = observations()
    normalized = student.context_normalizer(obs["history"])
    torch.testing.assert_close(normalized[:, -1], actor.obs_normalizer(obs["proprioception"]))
    mean, std = actor.obs_normalizer.mean, actor.obs_normalizer.std + actor.obs_normalizer.eps
    for frame in range(HISTORY):
        torch.testing.assert_close(normalized[:, frame], (obs["history"][:, frame] - mean) / std)
    assert student.context_normalizer is actor.obs_normalizer
    assert mean.abs().min() > 1.0 and std.min() > 2.0  # the statistics are not the initial ones


def test_statistics_are_per_input(actor):
    obs = observations()
    before = actor.obs_normalizer.mean
    obs["privileged"] = obs["privileged"] + 100.0
    actor.teacher_encoder.update_normalization(obs["privileged"])
    torch.testing.assert_close(actor.obs_normalizer.mean, before)
    assert actor.teacher_encoder.normalizer.mean.min() > 5.0


def test_student_action_by_hand(actor, student):
    """Normalise, flatten oldest first, encode, project, concatenate o_t before z."""
    obs = observations()

    def mlp(layers, x):
        elu = resolve_nn_activation("elu")
        linear = [layer for layer in layers if isinstance(layer, torch.nn.Linear)]
        for layer in linear[:-1]:
            x = elu(x @ layer.weight.T + layer.bias)
        return x @ linear[-1].weight.T + linear[-1].bias

    mean, std = actor.obs_normalizer.mean, actor.obs_normalizer.std + 0.01
    frames = [(obs["history"][:, i] - mean) / std for i in range(HISTORY)]
    z = mlp(student.encoder.mlp, torch.cat(frames, dim=-1))
    z = z / z.norm(dim=-1, keepdim=True)
    expected = mlp(actor.mlp, torch.cat([(obs["proprioception"] - mean) / std, z], dim=-1))
    torch.testing.assert_close(student(obs["proprioception"], obs["history"]), expected)
    torch.testing.assert_close(student(obs), expected)


def test_policies_share_weights_and_leave_each_others_encoder_out(actor, student):
    teacher = TeacherPolicy(actor)
    ids = {id(p) for p in student.parameters()}
    assert not ids & {id(p) for p in actor.teacher_encoder.parameters()}
    assert {id(p) for p in actor.mlp.parameters()} <= ids & {id(p) for p in teacher.parameters()}
    obs = observations()
    before = student(obs)
    with torch.no_grad():
        actor.mlp[-1].bias += 1.0
    torch.testing.assert_close(student(obs), before + 1.0)


def test_a_missing_input_is_named(actor, student):
    with pytest.raises(ValueError, match="`history`"):
        student(torch.zeros(1, FEATURES))
    with pytest.raises(ValueError, match="`privileged`"):
        TeacherPolicy(actor)(torch.zeros(1, FEATURES))


def test_latent_dim_must_be_positive():
    with pytest.raises(ValueError, match="latent_dim"):
        LatentActor(observations(), GROUPS, "actor", ACTIONS, latent_dim=0)


def test_critic_without_latent_ignores_it():
    obs = observations()
    obs["latent"] = torch.randn(N, LATENT)
    blind = LatentModel(obs, GROUPS, "critic", 1, 0, (8,))
    seeing = LatentModel(obs, GROUPS, "critic", 1, LATENT, (8,))
    other = obs.clone()
    other["latent"] = torch.randn(N, LATENT)
    torch.testing.assert_close(blind(obs), blind(other))
    assert not torch.allclose(seeing(obs), seeing(other))


@pytest.mark.parametrize("role", ["student", "teacher"])
def test_onnx_equals_torch(actor, student, role):
    onnxruntime = pytest.importorskip("onnxruntime")
    policy = student.eval() if role == "student" else TeacherPolicy(actor).eval()
    obs = observations()
    context = obs[policy.context_groups[0]]
    names = ["proprioception", policy.context_name]
    file = io.BytesIO()
    batch = {name: {0: "batch"} for name in names}
    torch.onnx.export(
        policy, (obs["proprioception"], context), file, input_names=names, output_names=["actions"],
        dynamic_axes=batch, dynamo=False,
    )  # fmt: skip
    session = onnxruntime.InferenceSession(file.getvalue())
    for rows in (1, N):
        inputs = {names[0]: obs["proprioception"][:rows].numpy(), names[1]: context[:rows].numpy()}
        actions = session.run(["actions"], inputs)[0]
        expected = policy(obs["proprioception"][:rows], context[:rows]).detach().numpy()
        np.testing.assert_allclose(actions, expected, atol=1e-5, rtol=0)


def test_exports_are_copies(student):
    obs = observations()
    scripted = torch.jit.script(student.as_jit())
    onnx = student.as_onnx()
    before = student(obs)
    with torch.no_grad():
        student.mlp[-1].bias += 1.0
    torch.testing.assert_close(scripted(obs["proprioception"], obs["history"]), before)
    torch.testing.assert_close(onnx(obs["proprioception"], obs["history"]), before)
    assert onnx.input_names == ["proprioception", "history"]
    assert [tuple(x.shape) for x in onnx.get_dummy_inputs()] == [(1, FEATURES), (1, HISTORY, FEATURES)]
