"""Generalised advantage estimation when the acting policy changes within an episode."""

from __future__ import annotations

import torch


def gae(
    rewards: torch.Tensor,
    values: torch.Tensor,
    dones: torch.Tensor,
    last_values: torch.Tensor,
    gamma: float,
    lam: float,
    acting: torch.Tensor | None = None,
    switch_values: torch.Tensor | None = None,
) -> tuple[torch.Tensor, torch.Tensor]:
    """Returns and advantages; bitwise rsl_rl's where nobody takes over.

    Where another policy acts in the next step, the estimate stops: the step is bootstrapped with the value of its next
    state, and no later reward, earned by the other policy, leaks into it. The end of a rollout is treated the same.

    Args:
        rewards: Rewards [T, N, ...], with the bootstrap of time-outs already added, as rsl_rl does.
        values: Values [T, N, ...] of the states in which the steps were taken.
        dones: Ends of episodes [T, N, ...], by termination or time-out.
        last_values: Values [N, ...] of the states after the last step.
        gamma: Discount factor.
        lam: Weight of longer estimates, in [0, 1].
        acting: Who took each step, integers or bools [T, N, ...]; None: always the same policy.
        switch_values: Values [T, N, ...] of the next states under the policy of the current step, for a critic that
            tells policies apart; read at switches only. None: ``values`` of the next step.

    Returns:
        Returns and advantages, both [T, N, ...]; the advantages are not normalised.
    """
    steps = len(rewards)
    returns = torch.empty_like(values)
    advantage = torch.zeros_like(last_values)
    for t in reversed(range(steps)):
        next_values = last_values if t == steps - 1 else values[t + 1]
        if acting is not None and t < steps - 1:
            switch = acting[t + 1] != acting[t]
            advantage = torch.where(switch, torch.zeros_like(advantage), advantage)
            if switch_values is not None:
                next_values = torch.where(switch, switch_values[t], next_values)
        goes_on = 1.0 - dones[t].float()
        delta = rewards[t] + goes_on * gamma * next_values - values[t]
        advantage = delta + goes_on * gamma * lam * advantage
        returns[t] = advantage + values[t]
    return returns, returns - values
