"""The regression of the student encoder onto the teacher encoder's latents."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import torch
from torch import nn

from legged_cts.algorithms.minibatches import sample_batches
from legged_cts.algorithms.reduce import joint_shares
from legged_cts.algorithms.student import StudentRollout


def reconstruction_losses(
    student: StudentRollout,
    targets: torch.Tensor,
    num_envs: int,
    batches: int,
    epochs: int,
    images: Callable[[torch.Tensor], torch.Tensor] | None = None,
) -> Iterator[tuple[torch.Tensor, dict[str, torch.Tensor]]]:
    """Yield mean (z^s - z^t)^2 over samples and latent entries, mini-batch by mini-batch.

    Of several processes each yields its part of the joint mean, see ``reduce.joint_shares``.

    A recurrent E^s is trained on whole sequences, with gradient through the rollout and no further back.

    Args:
        student: A full rollout of E^s.
        targets: z^t [copies, T, K, latent_dim] of the stored environments, without gradient: those of the samples, and
            with ``images`` behind them those of each image.
        num_envs: Number of all environments.
        batches: Mini-batches per epoch.
        epochs: Passes over the rollout.
        images: Adds to histories those of their images, see ``StudentRollout.encode``.

    Yields:
        The loss, with what the encoder adds to it, and scalars to report without gradient: ``reconstruction``,
        ``latent_cosine`` and what the encoder reports.
    """
    steps, count = targets.shape[1:3]
    device = targets.device
    position = (torch.arange(steps, device=device).unsqueeze(1) * num_envs + student.history.ids).flatten()
    targets = targets.flatten(1, 2)
    for index in sample_batches(steps, count, batches, epochs, device, student.is_recurrent):
        encoded, target = student.encode(position[index], images), targets[:, index].flatten(0, 1)
        share = joint_shares((len(index),), device)[0]
        error = nn.functional.mse_loss(encoded.latents, target) * share
        with torch.no_grad():
            cosine = nn.functional.cosine_similarity(encoded.latents, target).mean()
        loss = error if encoded.penalty is None else error + encoded.penalty
        yield loss, {"reconstruction": error.detach(), "latent_cosine": cosine, **encoded.report}
