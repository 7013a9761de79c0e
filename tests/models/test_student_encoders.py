"""Recurrent and mixture-of-experts student encoders, and the policies built on them."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from onnx_sessions import onnx_session
from rsl_rl.modules import MLP
from tensordict import TensorDict

from legged_cts.models.latent_model import LatentActor, build_encoder
from legged_cts.models.mixture import MixtureEncoder
from legged_cts.models.policies import StudentPolicy
from legged_cts.models.recurrent import RecurrentEncoder

B, FEATURES, HISTORY, ACTIONS, LATENT = 7, 6, 3, 2, 4
SHAPE = (HISTORY, FEATURES)
GROUPS = {"actor": ["proprioception"], "teacher": ["privileged"]}
RECURRENT = [("gru", 1), ("gru", 2), ("lstm", 1), ("lstm", 2)]


def observations(count: int = B) -> TensorDict:
    history = 2.0 + torch.randn(count, *SHAPE)
    groups = {"proprioception": history[:, -1].clone(), "history": history, "privileged": torch.randn(count, 5)}
    return TensorDict(groups, batch_size=[count])


def recurrent(cell: str, layers: int = 1, **options) -> RecurrentEncoder:
    torch.manual_seed(0)
    return RecurrentEncoder(SHAPE, LATENT, cell=cell, hidden_size=5, layers=layers, **options)


def policy(encoder: torch.nn.Module) -> StudentPolicy:
    torch.manual_seed(1)
    actor = LatentActor(observations(), GROUPS, "actor", ACTIONS, LATENT, hidden_dims=(8,), obs_normalization=True)
    actor.update_normalization(observations(64))
    return StudentPolicy(actor, encoder, "history", SHAPE).eval()


@pytest.mark.parametrize(("cell", "layers"), RECURRENT)
@pytest.mark.parametrize("chance", [0.0, 0.3, 1.0])
def test_unrolling_equals_stepping(cell, layers, chance):
    encoder = recurrent(cell, layers, hidden_dims=[6])
    steps = 9
    frames, starts = torch.randn(steps, B, FEATURES), torch.rand(steps, B) < chance
    state = first = torch.randn(B, encoder.state_size)
    expected = []
    for frame, start in zip(frames, starts, strict=True):
        state = torch.where(start.unsqueeze(1), torch.zeros(()), state)
        history = torch.randn(B, *SHAPE)  # all but the newest frame is not read
        history[:, -1] = frame
        latent, state = encoder(history, state)
        expected.append(latent)
    latents = encoder.unroll(frames, first, starts)
    torch.testing.assert_close(latents, torch.stack(expected))
    torch.testing.assert_close(latents.norm(dim=-1), torch.ones(steps, B))


def test_gradient_flows_through_time_but_not_across_a_start():
    encoder = recurrent("gru")
    frames = torch.randn(4, 2, FEATURES, requires_grad=True)
    starts = torch.zeros(4, 2, dtype=torch.bool)
    starts[2, 1] = True
    latents = encoder.unroll(frames, torch.zeros(2, encoder.state_size), starts)
    (grad,) = torch.autograd.grad(latents[3].sum(), frames)
    assert grad[:, 0].any(-1).tolist() == [True] * 4
    assert grad[:, 1].any(-1).tolist() == [False, False, True, True]


def test_gru_by_hand():
    """The gates of one step in numpy: r, z, n in torch's order, biases inside the reset product."""
    encoder = recurrent("gru")
    history, state = torch.randn(B, *SHAPE), torch.randn(B, 5)
    latent, following = encoder(history, state)
    rnn = encoder.rnn
    wi, wh, bi, bh = (getattr(rnn, f"{name}_l0").detach().double().numpy() for name in
                      ("weight_ih", "weight_hh", "bias_ih", "bias_hh"))  # fmt: skip
    x, h = history[:, -1].double().numpy(), state.double().numpy()
    a, b = x @ wi.T + bi, h @ wh.T + bh
    r, z = (1 / (1 + np.exp(-(a[:, i : i + 5] + b[:, i : i + 5]))) for i in (0, 5))
    n = np.tanh(a[:, 10:] + r * b[:, 10:])
    h = (1 - z) * n + z * h
    np.testing.assert_allclose(following.detach().numpy(), h, atol=1e-6)
    out = h @ encoder.head.weight.detach().double().numpy().T + encoder.head.bias.detach().double().numpy()
    np.testing.assert_allclose(latent.detach().numpy(), out / np.linalg.norm(out, axis=-1, keepdims=True), atol=1e-6)


def test_the_flat_state_of_an_lstm_is_h_then_c_of_all_layers():
    encoder = recurrent("lstm", 2)
    assert encoder.state_size == 2 * 2 * 5
    frame, state = torch.randn(B, FEATURES), torch.randn(B, 20)
    h, c = state[:, :10].view(B, 2, 5).transpose(0, 1), state[:, 10:].view(B, 2, 5).transpose(0, 1)
    _, (h, c) = encoder.rnn(frame.unsqueeze(0), (h.contiguous(), c.contiguous()))
    _, following = encoder(frame.unsqueeze(1), state)
    torch.testing.assert_close(following, torch.cat([h[0], h[1], c[0], c[1]], dim=-1))


@pytest.mark.parametrize(("cell", "layers"), RECURRENT)
def test_the_policy_keeps_the_state_of_its_environments(cell, layers):
    student = policy(recurrent(cell, layers))
    assert student.is_recurrent and student.state_size == student.encoder.state_size
    state = torch.zeros(B, student.state_size)
    done = torch.arange(B) % 2
    for step in range(4):
        obs = observations()
        expected, state = student(obs["proprioception"], obs["history"], state)
        if step == 1:
            with torch.inference_mode():  # a state made here must be of use outside
                actions = student(obs)
        else:
            actions = student(obs)
        torch.testing.assert_close(actions, expected)
        if step == 2:
            student.reset(done)
            state = torch.where(done.bool().unsqueeze(1), torch.zeros(()), state)
    assert state.any()
    student.reset()
    obs = observations(3)  # another number of environments starts anew
    zeros = torch.zeros(3, student.state_size)
    torch.testing.assert_close(student(obs), student(obs["proprioception"], obs["history"], zeros)[0])


def test_a_missing_state_is_named():
    student = policy(recurrent("gru"))
    obs = observations()
    with pytest.raises(ValueError, match=r"`state` \[B, 5\]"):
        student(obs["proprioception"], obs["history"])


def test_feed_forward_policies_have_no_state():
    student = policy(build_encoder({"hidden_dims": [8]}, SHAPE, LATENT, True))
    assert student.state_size == 0 and not student.is_recurrent and student.encoder.state_size == 0
    student.reset(torch.ones(B))


@pytest.mark.parametrize(("cell", "layers"), RECURRENT)
def test_exports_of_a_recurrent_policy_run_like_the_policy(cell, layers):
    student = policy(recurrent(cell, layers, hidden_dims=[6]))
    module = student.as_onnx()
    assert module.is_recurrent
    assert module.input_names == ["proprioception", "history", "state"]
    assert module.output_names == ["actions", "next_state"]
    session = onnx_session(module)
    scripted = torch.jit.script(student.as_jit())
    for count in (1, B):
        state = torch.zeros(count, student.state_size)
        for _ in range(3):
            obs = observations(count)
            inputs = {"proprioception": obs["proprioception"], "history": obs["history"], "state": state}
            actions, following = student(*inputs.values())
            given = session.run(["actions", "next_state"], {name: value.numpy() for name, value in inputs.items()})
            np.testing.assert_allclose(given[0], actions.detach().numpy(), atol=1e-5)
            np.testing.assert_allclose(given[1], following.detach().numpy(), atol=1e-5)
            for a, b in zip(scripted(*inputs.values()), (actions, following), strict=True):
                torch.testing.assert_close(a, b)
            state = following.detach()


def mixture(**options) -> MixtureEncoder:
    torch.manual_seed(0)
    return MixtureEncoder(SHAPE, LATENT, hidden_dims=[8], experts=3, gate_hidden_dims=[5], **options)


def _mlp(mlp: MLP, x: np.ndarray) -> np.ndarray:
    layers = [module for module in mlp if isinstance(module, torch.nn.Linear)]
    for i, layer in enumerate(layers):
        x = x @ layer.weight.detach().double().numpy().T + layer.bias.detach().double().numpy()
        if i < len(layers) - 1:
            x = np.where(x > 0, x, np.expm1(np.minimum(x, 0)))  # ELU
    return x


def test_mixture_by_hand():
    encoder = mixture(balance_weight=0.5)
    history = torch.randn(B, *SHAPE)
    x = history.flatten(1).double().numpy()
    gate = np.exp(_mlp(encoder.gate, x))
    gate /= gate.sum(-1, keepdims=True)
    z = sum(gate[:, i : i + 1] * _mlp(expert, x) for i, expert in enumerate(encoder.experts))
    z /= np.linalg.norm(z, axis=-1, keepdims=True)
    latent, penalty, report = encoder.training_latent(history)
    np.testing.assert_allclose(latent.detach().numpy(), z, atol=1e-6)
    torch.testing.assert_close(encoder(history), latent)
    use = gate.mean(0)
    assert penalty.item() == pytest.approx(0.5 * np.mean((use - 1 / 3) ** 2), rel=1e-5)
    assert [report[f"expert_use_{i}"].item() for i in range(3)] == pytest.approx(use, rel=1e-5)
    assert np.ptp(use) > 0.01


def test_the_balance_penalty_evens_out_the_use():
    encoder = mixture(balance_weight=100.0)
    with torch.no_grad():
        encoder.gate[-1].bias += torch.tensor([3.0, 0.0, 0.0])
    history = torch.randn(64, *SHAPE)
    optimizer = torch.optim.Adam(encoder.gate.parameters(), lr=0.05)
    uses = []
    for _ in range(60):
        _, penalty, report = encoder.training_latent(history)
        uses.append(report["expert_use_0"].item())
        optimizer.zero_grad()
        penalty.backward()
        optimizer.step()
    assert uses[0] > 0.8 and uses[-1] == pytest.approx(1 / 3, abs=0.05)


def test_a_mixture_policy_exports():
    student = policy(mixture())
    module = student.as_onnx()
    assert module.input_names == ["proprioception", "history"] and module.output_names == ["actions"]
    obs = observations()
    actions = onnx_session(module).run(["actions"], {name: obs[name].numpy() for name in module.input_names})[0]
    expected = student(obs)
    np.testing.assert_allclose(actions, expected.detach().numpy(), atol=1e-5)
    scripted = torch.jit.script(student.as_jit())
    torch.testing.assert_close(scripted(obs["proprioception"], obs["history"]), expected)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"cell": "rnn"}, "student_encoder.cell must be one of gru, lstm"),
        ({"cell": "gru", "layers": 0}, "student_encoder.layers"),
        ({"cell": "gru", "hidden_size": 0}, "student_encoder.hidden_size"),
    ],
)
def test_bad_recurrent_options_are_named(options, message):
    with pytest.raises(ValueError, match=message):
        RecurrentEncoder(SHAPE, LATENT, **options)


@pytest.mark.parametrize(
    ("options", "key"), [({"experts": 0}, "experts"), ({"balance_weight": -1.0}, "balance_weight")]
)
def test_bad_mixture_options_are_named(options, key):
    with pytest.raises(ValueError, match=f"student_encoder.{key}"):
        MixtureEncoder(SHAPE, LATENT, **options)


def test_a_recurrent_teacher_encoder_is_refused():
    encoder = {"class_name": "legged_cts.models.recurrent:RecurrentEncoder"}
    with pytest.raises(ValueError, match="networks.teacher_encoder.class_name"):
        LatentActor(observations(), GROUPS, "actor", ACTIONS, LATENT, teacher_encoder=encoder)
