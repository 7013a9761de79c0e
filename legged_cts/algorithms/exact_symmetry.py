"""Exact left-right symmetry of an algorithm's networks, from the mirrors of its environment."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from rsl_rl.models import MLPModel
from rsl_rl.modules.distribution import GaussianDistribution, HeteroscedasticGaussianDistribution
from torch import nn

from legged_cts.models.latent_model import LatentActor
from legged_cts.models.mirrored import (
    ExactSymmetry,
    Mirror,
    MirroredNormalization,
    Ties,
    halves,
    joined,
    mlp_ties,
    same,
    unsigned,
)


def make_exact(alg: Any, env: Any, student_encoder: nn.Module | None = None, history_group: str = "") -> ExactSymmetry:
    """Make policy, critic and encoders commute with the mirror from now on; what is returned keeps them so.

    It is ``alg.exact_symmetry``, too.

    Args:
        alg: An algorithm of rsl_rl with new networks; latents come in two halves, which the mirror swaps.
        env: Its environment; ``env.unwrapped.mirror`` is an ``EnvironmentMirror``.
        student_encoder: E^s, if there is one.
        history_group: Observation group that E^s reads.

    Raises:
        ValueError: If a network is of a kind whose mirror is unknown, or an observation has none.
    """
    mirror = env.unwrapped.mirror
    actor, critic, groups = alg._raw_actor, alg._raw_critic, mirror.groups
    ties = [
        *_model_ties("actor", actor, Mirror.of(mirror.joints), groups),
        *_model_ties("critic", critic, same(1), groups),
    ]
    networks = {"actor": actor, "critic": critic}
    if isinstance(actor, LatentActor):
        z = halves(actor.latent_dim)
        seen = _joined(groups, actor.teacher_groups)
        ties += _encoder_ties("teacher_encoder", actor.teacher_encoder, seen, z)
        if student_encoder is not None:
            networks["student_encoder"] = student_encoder
            ties += _encoder_ties("student_encoder", student_encoder, _joined(groups, [history_group]), z)
    alg.exact_symmetry = ExactSymmetry(ties)
    for name, network in networks.items():
        for parameter, value in network.named_parameters():
            if value not in alg.exact_symmetry.tied:
                _refuse(f"networks.{name}", network, parameter)
    return alg.exact_symmetry


def _model_ties(name: str, model: Any, y: Mirror, groups: Mapping[str, Any]) -> Ties:
    """Yield the ties of a model from observations and, if it reads one, a latent to ``y``."""
    if not isinstance(model, MLPModel) or model.is_recurrent:
        _refuse(f"networks.{name}", model)
    seen, distribution = _joined(groups, model.obs_groups), model.distribution
    MirroredNormalization.mirroring(model.obs_normalizer, seen)
    if distribution is not None:
        if not isinstance(distribution, GaussianDistribution):
            _refuse(f"networks.{name}.distribution_cfg", distribution)
        for parameter in distribution.parameters():
            yield parameter, unsigned(y), None
        if isinstance(distribution, HeteroscedasticGaussianDistribution):
            y = joined((y, unsigned(y)))
    yield from mlp_ties(model.mlp, joined((seen, halves(getattr(model, "latent_dim", 0)))), y)


def _encoder_ties(name: str, encoder: Any, x: Mirror, z: Mirror) -> Ties:
    if not callable(getattr(encoder, "ties", None)):
        _refuse(f"networks.{name}", encoder)
    MirroredNormalization.mirroring(getattr(encoder, "normalizer", None), x)
    return encoder.ties(x, z)


def _joined(groups: Mapping[str, Any], names: Sequence[str]) -> Mirror:
    for name in names:
        if name not in groups:
            known = ", ".join(groups)
            raise ValueError(f"symmetry=exact: the observation group '{name}' has no mirror; there are {known}")
    return joined(groups[name] for name in names)


def _refuse(path: str, module: nn.Module, parameter: str = "") -> None:
    of = f" ({parameter})" if parameter else ""
    raise ValueError(
        f"symmetry=exact: how the mirror acts within {path}.class_name {type(module).__name__}{of} is not known; "
        "take symmetry=augment or none, or give an encoder of your own the method `ties`"
    )
