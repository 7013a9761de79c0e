"""Groups that the teacher never sees, in training and where it drives (LEAD, EgoPush)."""

import copy

import pytest
import torch
from builders import rollout, snapshot
from distilled_builders import build, method_cfg
from tensordict import TensorDict
from toy_env import HidingEnv

from legged_cts.algorithms.exposed import ExposedEncoder
from legged_cts.export.checkpoint import trained_algorithm

ENCODER = {"class_name": "legged_cts.algorithms.exposed:ExposedEncoder", "blocks": None}
AXES = {"coef": 0.5, "divergence": "mse", "driver": 0.5, "exposure": {"mode": "fixed", "hidden": ["height_scan"]}}


class ScanEnv(HidingEnv):
    """The hidden numbers in the place of the terrain scan."""

    def get_observations(self) -> TensorDict:
        groups = super().get_observations()
        groups["height_scan"] = groups.pop("hidden")
        return groups


def config(axes=None, encoder=ENCODER, teachers=None, groups=("privileged", "height_scan")):
    algorithm = {
        "class_name": "legged_cts.algorithms.distilled:Distillation", "teacher_fraction": None,
        "distillation": AXES if axes is None else axes, "teachers": teachers,
    }  # fmt: skip
    cfg = method_cfg("cts", 4, {"algorithm": algorithm, "networks": {"teacher_encoder": encoder}})
    cfg["runner"]["obs_groups"] |= {"teacher": list(groups), "critic": ["privileged", "height_scan"]}
    return cfg


def masked(seed=0, **options):
    return build(config(**options), env=ScanEnv(16), seed=seed)


def train(alg, env, iterations=2):
    for _ in range(iterations):
        rollout(alg, env)
        alg.update()


def test_the_network_gets_zeros_and_bits_after_the_normaliser():
    encoder = ExposedEncoder((3,), 5, False, [4], obs_normalization=True, blocks=None, groups={"a": 2, "b": 1})
    encoder.expose("fixed", ["a"])
    encoder.normalizer.update(torch.tensor([[9.0, 9.0, 1.0], [5.0, 5.0, 3.0]]))
    encoder.mlp = torch.nn.Identity()
    encoder.eval()
    found = encoder(torch.tensor([[100.0, float("nan"), 3.0]]))
    # The mean of b is 2 and its std 1; the bits say that a is hidden and b is seen.
    torch.testing.assert_close(found, torch.tensor([[0.0, 0.0, 1.0, 0.0, 1.0]]), atol=0.02, rtol=0)
    assert not found[0, :2].any()


def test_the_teacher_learns_and_its_weights_of_hidden_columns_never_move():
    alg, env = masked()
    first = snapshot(alg)["teacher.mlp.0.weight"]
    train(alg, env)
    moved = snapshot(alg)["teacher.mlp.0.weight"] != first
    # Columns: four of privileged, two of the scan, the bits of both.
    assert moved.any(0).tolist() == [True] * 4 + [False] * 2 + [True, False]


@pytest.mark.parametrize("source", ["self", "frozen", "ema"])
def test_whoever_acts_as_the_teacher_is_blind_to_it(source):
    axes = AXES | {"learn": {"rl": "both" if source == "self" else "student"}}
    alg, env = masked(axes=axes, teachers={"teacher": {"source": source}})
    train(alg, env, 1)
    alg.begin_iteration()
    obs = env.get_observations()
    scan, state = obs.clone(), obs.clone()
    scan["height_scan"], state["privileged"] = obs["height_scan"] + 7.0, obs["privileged"] + 7.0
    seen = alg.act_inference(obs, "teacher")
    assert torch.equal(alg.act_inference(scan, "teacher"), seen)
    assert not torch.isclose(alg.act_inference(state, "teacher"), seen).all()
    torch.manual_seed(1)
    acted = alg.act(obs).clone()
    torch.manual_seed(1)
    again = alg.act(scan)
    assert alg.driver.teacher_acts.any() and torch.equal(acted, again)


def test_it_can_say_what_a_network_without_these_columns_says():
    """Zeros drop out and constant bits are a bias: with the same weights both teachers act alike."""
    alg, env = masked()
    lesser, other = masked(axes=AXES | {"exposure": "full"}, encoder={}, groups=["privileged"])
    shared = {name: value for name, value in alg.actor.state_dict().items() if "teacher_encoder.mlp.0" not in name}
    lesser.actor.load_state_dict(shared | lesser_first_layer(alg, lesser), strict=False)
    lesser._student_encoder.load_state_dict(alg._student_encoder.state_dict())
    results = []
    for algorithm, environment in ((alg, env), (lesser, other)):
        torch.manual_seed(5)
        rollout(algorithm, environment)
        results.append(algorithm.storage.actions.clone())
    torch.testing.assert_close(*results, atol=1e-5, rtol=1e-4)


def lesser_first_layer(alg, lesser):
    """The first layer of E^t on the four columns of privileged, whose bit is column 6, and a fresh normaliser."""
    first, own = alg._raw_actor.teacher_encoder.mlp[0], lesser.actor.state_dict()
    names = [name for name in own if "teacher_encoder.normalizer" in name]
    weight, bias = first.weight[:, :4], first.bias + first.weight[:, 6]
    path = "teacher_encoder.mlp.0"
    return {name: own[name] for name in names} | {f"{path}.weight": weight, f"{path}.bias": bias}


def test_a_resumed_run_goes_on_as_if_nothing_had_happened():
    alg, env = masked()
    train(alg, env)
    state, world = copy.deepcopy(alg.save()), copy.deepcopy(env)
    other, _ = masked(seed=3)
    assert other.load(state, None, True)
    for algorithm, environment in ((alg, env), (other, world)):
        torch.manual_seed(7)
        train(algorithm, environment, 1)
    mine, theirs = snapshot(alg), snapshot(other)
    assert all(torch.equal(value, theirs[name]) for name, value in mine.items())


def test_a_policy_rebuilt_from_a_checkpoint_hides_the_same():
    alg, env = masked()
    train(alg, env, 1)
    info = {"proprioception": 2, "history_length": 3, "privileged": 4, "height_scan": 2, "actions": 2}
    rebuilt = trained_algorithm({**alg.save(), "config": config(), "env_info": info})
    obs = env.get_observations()
    expected = alg.act_inference(obs, "teacher")
    obs["height_scan"] += 7.0
    alg.eval_mode()
    assert torch.equal(rebuilt.act_inference(obs, "teacher"), expected)


def test_a_ratio_can_show_groups_one_by_one():
    alg, env = masked(axes=AXES | {"exposure": {"mode": "ratio", "ratio": 0.5, "seed": 1}})
    encoder = alg._raw_actor.teacher_encoder
    assert encoder.exposure.names == ("privileged", "height_scan")
    rollout(alg, env)
    assert encoder.seen.sum() == 1
    assert alg.update()["exposure"] == 0.5


def test_coins_per_group_are_tossed_once_per_iteration_and_survive_a_checkpoint():
    axes = AXES | {"exposure": {"mode": "ratio", "ratio": 0.5, "order": "bernoulli", "seed": 4}}
    alg, env = masked(axes=axes)
    encoder = alg._raw_actor.teacher_encoder
    seen = []
    for _ in range(12):
        rollout(alg, env)
        seen.append(encoder.seen.tolist())
        alg.update()
        assert encoder.seen.tolist() == seen[-1], "what PPO trains on is what the rollout saw"
    assert {sum(shown) for shown in seen} == {0, 1, 2}
    other, _ = masked(axes=axes)
    other.load(alg.save(), None, True)
    assert other._raw_actor.teacher_encoder.seen.tolist() == seen[-1]
    other.begin_iteration(), alg.begin_iteration()
    assert torch.equal(other._raw_actor.teacher_encoder.seen, encoder.seen)


def test_nothing_is_reported_of_a_mask_that_never_changes():
    alg, env = masked()
    rollout(alg, env)
    assert "exposure" not in alg.update()


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"axes": {"exposure": {"mode": "fixed", "hidden": ["scan"]}}},
         r"exposure\.hidden names 'scan', but the groups are: privileged, height_scan"),
        ({"axes": {"exposure": "fixed"}}, r"exposure\.hidden = \[\]: nothing would be hidden; name observation groups"),
        ({"encoder": ENCODER | {"blocks": 2}}, r"set networks\.teacher_encoder\.blocks to null"),
        ({"encoder": {}}, r"exposure\.mode = ratio or fixed needs networks\.teacher_encoder\.class_name"),
        ({"axes": {}}, r"ExposedEncoder, and full another one"),
        ({"encoder": ENCODER | {"groups": {"a": 6}}}, r"unknown key networks\.teacher_encoder\.groups"),
        ({"encoder": ENCODER | {"blocks": 9}}, r"teacher_encoder\.blocks must lie in \[1, 6\], got 9"),
    ],
)  # fmt: skip
def test_what_does_not_fit_names_the_field(options, words):
    with pytest.raises(ValueError, match=words):
        masked(**options)


def test_groups_are_needed_for_blocks_of_groups():
    with pytest.raises(ValueError, match="blocks must be a number: no observation groups are known"):
        ExposedEncoder((3,), 2, blocks=None)
