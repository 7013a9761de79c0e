"""Symmetry of mini-batches in which teachers and students stay apart: augmentation and mirror loss.

What the images of a sample are is up to rsl_rl's ``Symmetry`` and its data augmentation function, which returns samples
followed by one block of images per symmetry of the robot: ``copies`` blocks in all, two for left and right.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import torch
from rsl_rl.extensions import Symmetry
from tensordict import TensorDict

from legged_cts.algorithms.minibatches import RoleBatch
from legged_cts.models.latent_model import LATENT
from legged_cts.models.policies import StudentPolicy
from legged_cts.trust.names import resolve

AUGMENTATION = "legged_cts.envs.symmetry:mirror"
"""The data augmentation function of this package's environments."""

_KEYS = ("exact", "data_augmentation_func", "use_data_augmentation", "use_mirror_loss", "mirror_loss_coeff")


def symmetry_cfg(cfg: Mapping[str, Any]) -> dict[str, Any]:
    """Check ``algorithm.symmetry_cfg`` and fill in the data augmentation function.

    Returns:
        A new dict: ``exact``, whether the networks commute with the mirror, and what is for rsl_rl's ``Symmetry``, the
        environment left out.

    Raises:
        ValueError: If a key is unknown, a value is of the wrong kind, the mirror loss has no weight, networks that
            commute are to learn from images, or the function cannot be imported.
    """
    if not isinstance(cfg, Mapping):
        raise ValueError(f"algorithm.symmetry_cfg must be null or have the keys {', '.join(_KEYS)}, got {cfg!r}")
    unknown = [key for key in cfg if key not in _KEYS]
    if unknown:
        raise ValueError(f"unknown key algorithm.symmetry_cfg.{unknown[0]}; allowed are: {', '.join(_KEYS)}")
    for key in ("exact", "use_data_augmentation", "use_mirror_loss"):
        if not isinstance(cfg.get(key, False), bool):
            raise ValueError(f"algorithm.symmetry_cfg.{key} must be true or false, got {cfg[key]!r}")
    weight = cfg.get("mirror_loss_coeff", 0.0)
    if isinstance(weight, bool) or not isinstance(weight, int | float) or not 0.0 <= weight < float("inf"):
        raise ValueError(f"algorithm.symmetry_cfg.mirror_loss_coeff must be a number of at least 0, got {weight!r}")
    if cfg.get("use_mirror_loss") and not weight:
        raise ValueError(
            "algorithm.symmetry_cfg.mirror_loss_coeff is 0, so use_mirror_loss has no effect; give it a weight, or set "
            "use_mirror_loss to false"
        )
    if cfg.get("exact") and (cfg.get("use_data_augmentation") or cfg.get("use_mirror_loss")):
        raise ValueError(
            "algorithm.symmetry_cfg.exact leaves nothing to learn from images: set use_data_augmentation and "
            "use_mirror_loss to false, or exact"
        )
    function = cfg.get("data_augmentation_func", AUGMENTATION)
    if function != AUGMENTATION:  # ours needs the simulator's packages, which are not wanted yet
        resolve(function, "algorithm.symmetry_cfg.data_augmentation_func")
    return {"exact": False, **cfg, "data_augmentation_func": function}


def check_student(student: StudentPolicy) -> None:
    """Refuse a student encoder whose samples have no images.

    Raises:
        ValueError: If E^s is recurrent.
    """
    if student.is_recurrent:
        raise ValueError(
            "algorithm.symmetry_cfg does not go with a recurrent networks.student_encoder: the image of a sequence "
            "that began before the rollout would need the hidden state that a mirrored robot had then; take "
            "symmetry=exact, an encoder that reads a history, or symmetry=none"
        )


def with_images(batch: RoleBatch, symmetry: Symmetry) -> RoleBatch:
    """Add to each group of a mini-batch the images of its samples.

    As in rsl_rl an image has the value, advantage, return and old log-probability of its sample. An image's entry of
    ``observations["latent"]`` is still that of the sample: only an encoder knows the image's own.

    Args:
        batch: Samples, without images.
        symmetry: Makes the images.

    Returns:
        A new mini-batch; its ``old_distribution_params`` are still those of the samples alone.

    Raises:
        ValueError: If the data augmentation function does not return whole blocks of samples.
    """
    size = len(batch)
    groups = [group for group in batch.observations.keys() if group != LATENT]
    obs, actions = symmetry.data_augmentation_func(
        env=symmetry.env, obs=batch.observations.select(*groups), actions=batch.actions
    )
    copies = _copies(len(actions), size)
    blocks = torch.arange(copies * size, device=actions.device).view(copies, size)
    order = torch.cat([blocks[:, : batch.teachers].flatten(), blocks[:, batch.teachers :].flatten()])
    repeated = order % size
    observations = TensorDict({group: obs[group][order] for group in groups}, batch_size=[len(order)])
    if LATENT in batch.observations.keys():
        observations[LATENT] = batch.observations[LATENT][repeated]
    return replace(
        batch,
        observations=observations,
        actions=actions[order],
        values=batch.values[repeated],
        advantages=batch.advantages[repeated],
        returns=batch.returns[repeated],
        old_log_prob=batch.old_log_prob[repeated],
        index=batch.index[repeated],
        teachers=copies * batch.teachers,
        copies=copies,
    )


def observation_images(symmetry: Symmetry, obs: TensorDict) -> TensorDict:
    """Return observations [B, ...] followed by their images: [copies * B, ...]."""
    return symmetry.data_augmentation_func(env=symmetry.env, obs=obs, actions=None)[0]


def action_images(symmetry: Symmetry, actions: torch.Tensor) -> torch.Tensor:
    """Return actions [B, d] followed by their images: [copies * B, d]."""
    return symmetry.data_augmentation_func(env=symmetry.env, obs=None, actions=actions)[1]


def group_images(symmetry: Symmetry, group: str, values: torch.Tensor) -> torch.Tensor:
    """Return values [B, ...] of one observation group followed by their images: [copies * B, ...]."""
    return observation_images(symmetry, TensorDict({group: values}, batch_size=[len(values)]))[group]


def by_copy(batch: RoleBatch, x: torch.Tensor) -> torch.Tensor:
    """Arrange a mini-batch's rows [copies * B, ...] as [copies, B, ...]: first the samples, then their images."""
    if batch.copies == 1:
        return x.unsqueeze(0)
    parts = (x[: batch.teachers], x[batch.teachers :])
    return torch.cat([part.unflatten(0, (batch.copies, -1)) for part in parts if len(part)], dim=1)


def by_role(batch: RoleBatch, x: torch.Tensor) -> torch.Tensor:
    """Arrange samples followed by their images [copies * B, ...] as a mini-batch's rows: the teachers' come first."""
    if batch.copies == 1:
        return x
    blocks, own = x.unflatten(0, (batch.copies, -1)), batch.teachers // batch.copies
    return torch.cat([blocks[:, :own].flatten(0, 1), blocks[:, own:].flatten(0, 1)])


def mirror_loss(symmetry: Symmetry, batch: RoleBatch, means: torch.Tensor) -> torch.Tensor:
    """Mean squared difference between the action means of images and the images of the samples' action means.

    As in rsl_rl the latter are targets without gradient, and the result has none at all unless the loss is used.

    Args:
        symmetry: Makes the images.
        batch: A mini-batch with images.
        means: Action means [copies * B, d] of its rows.
    """
    own, *others = by_copy(batch, means)
    loss = torch.nn.functional.mse_loss(torch.cat(others), action_images(symmetry, own.detach())[len(own) :])
    return loss if symmetry.use_mirror_loss else loss.detach()


def _copies(rows: int, size: int) -> int:
    copies, rest = divmod(rows, size)
    if rest or copies < 2:
        raise ValueError(
            f"algorithm.symmetry_cfg.data_augmentation_func made {rows} rows of {size} samples; it must return the "
            "samples followed by whole blocks of their images"
        )
    return copies
