"""Mini-batches of a rollout, with the teacher samples first."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from rsl_rl.storage import RolloutStorage
from tensordict import TensorDict


@dataclass
class RoleBatch:
    """Samples of both groups; rows ``[:teachers]`` are teachers, rows ``[teachers:]`` students.

    With ``copies`` above 1 the rows of each group are its samples followed by as many images of them less one, all in
    the same order (see :mod:`legged_cts.algorithms.symmetry`).
    """

    observations: TensorDict
    actions: torch.Tensor
    values: torch.Tensor
    advantages: torch.Tensor
    returns: torch.Tensor
    old_log_prob: torch.Tensor
    old_distribution_params: tuple[torch.Tensor, ...]
    teachers: int
    index: torch.Tensor
    """Flat position of each sample in the rollout: step * num_envs + environment."""
    copies: int = 1

    def __len__(self) -> int:
        """Return the number of samples."""
        return len(self.index)


def index_batches(total: int, batches: int, epochs: int, device: str | torch.device) -> Iterator[torch.Tensor]:
    """Yield index tensors that visit every sample once per epoch, in a fresh order each epoch.

    Args:
        total: Number of samples.
        batches: Mini-batches per epoch; sizes differ by at most one, and none is empty.
        epochs: Number of epochs.
        device: Device of the indices.
    """
    for _ in range(epochs):
        yield from torch.randperm(total, device=device).tensor_split(min(batches, total))


def sample_batches(
    steps: int, envs: int, batches: int, epochs: int, device: str | torch.device, sequences: bool
) -> Iterator[torch.Tensor]:
    """Yield flat positions ``step * envs + env`` of mini-batches.

    Args:
        steps: Steps T.
        envs: Environments.
        batches: Mini-batches per epoch.
        epochs: Number of epochs.
        device: Device of the indices.
        sequences: Draw environments and take all their steps, [T, environments of the batch] flattened, instead of
            single samples.
    """
    if not sequences:
        yield from index_batches(steps * envs, batches, epochs, device)
        return
    starts = torch.arange(steps, device=device).unsqueeze(1) * envs
    for index in index_batches(envs, batches, epochs, device):
        yield (starts + index).flatten()


def role_batches(
    storage: RolloutStorage, teachers: torch.Tensor, batches: int, epochs: int, sequences: bool = False
) -> Iterator[RoleBatch]:
    """Yield mini-batches of a full storage, the same ones in every epoch, as rsl_rl does.

    The rollout is put into their order once, so that a mini-batch is a slice of it: gathering it anew in every epoch
    took 6 % of an update of 1024 environments.

    Args:
        storage: Rollouts of ``num_transitions_per_env`` steps.
        teachers: Role of each environment, bool [num_envs], or of each step, bool [steps, num_envs].
        batches: Mini-batches per epoch.
        epochs: Number of epochs.
        sequences: Whether a mini-batch holds whole sequences of some environments, see ``sample_batches``.
    """
    assert storage.distribution_params is not None  # set by the first transition
    steps, envs = storage.num_transitions_per_env, storage.num_envs
    roles = teachers.expand(steps, envs).flatten()
    indices, counts = [], []
    for index in sample_batches(steps, envs, batches, 1, storage.device, sequences):
        is_teacher = roles[index]
        indices.append(torch.cat([index[is_teacher], index[~is_teacher]]))
        counts.append(int(is_teacher.sum()))
    order, sizes = torch.cat(indices), [len(index) for index in indices]

    def arranged(rollout: torch.Tensor) -> tuple[torch.Tensor, ...]:
        return rollout.flatten(0, 1).index_select(0, order).split(sizes)

    observations = {name: arranged(value) for name, value in storage.observations.items()}  # type: ignore[arg-type]
    columns = [
        arranged(column)
        for column in (storage.actions, storage.values, storage.advantages, storage.returns, storage.actions_log_prob)
    ]
    params = [arranged(param) for param in storage.distribution_params]
    for _ in range(epochs):
        for i, index in enumerate(indices):
            actions, values, advantages, returns, log_prob = (column[i] for column in columns)
            yield RoleBatch(
                # A fresh dictionary for each pass, because the losses put the latents of the moment into it.
                observations=TensorDict({name: parts[i] for name, parts in observations.items()}, [len(index)]),
                actions=actions,
                values=values,
                advantages=advantages,
                returns=returns,
                old_log_prob=log_prob.flatten(),
                old_distribution_params=tuple(param[i] for param in params),
                teachers=counts[i],
                index=index,
            )
