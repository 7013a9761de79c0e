"""Advantages with and without a change of the acting policy."""

import torch
from rsl_rl.algorithms import PPO

from legged_cts.distillation.gae import gae

GAMMA, LAM = 0.9, 0.8


def _rollout(steps: int, envs: int) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    rewards, values = torch.randn(2, steps, envs, 1, generator=generator)
    dones = (torch.rand(steps, envs, 1, generator=generator) < 0.2).byte()
    return rewards, values, dones, torch.randn(envs, 1, generator=generator)


class _Storage:
    def __init__(self, rewards, values, dones):
        self.num_transitions_per_env = len(rewards)
        self.rewards, self.values, self.dones = rewards, values, dones
        self.returns = torch.zeros_like(values)
        self.advantages = torch.zeros_like(values)


class _Critic:
    def __init__(self, last_values):
        self.last_values = last_values

    def __call__(self, obs):
        return self.last_values

    def get_hidden_state(self):
        return None

    def reset(self, **kwargs):
        pass


class _Algorithm:
    """What rsl_rl's ``compute_returns`` reads."""

    gamma, lam, normalize_advantage_per_mini_batch = GAMMA, LAM, True

    def __init__(self, storage, critic):
        self.storage, self.critic = storage, critic


def test_without_a_switch_it_is_rsl_rls_bit_by_bit():
    rewards, values, dones, last = _rollout(24, 50)
    stock = _Algorithm(_Storage(rewards, values, dones), _Critic(last))
    PPO.compute_returns(stock, None)  # type: ignore[arg-type]
    for acting in (None, torch.zeros_like(dones), torch.arange(50).view(1, -1, 1).expand_as(dones)):
        returns, advantages = gae(rewards, values, dones, last, GAMMA, LAM, acting)
        assert torch.equal(returns, stock.storage.returns)
        assert torch.equal(advantages, stock.storage.advantages)


def test_a_switch_by_hand():
    """The teacher drives the first two of four steps."""
    rewards, values = torch.tensor([[1.0], [2.0], [3.0], [4.0]]), torch.tensor([[0.5], [0.6], [0.7], [0.8]])
    dones, last, acting = torch.zeros(4, 1), torch.tensor([0.9]), torch.tensor([[True], [True], [False], [False]])
    deltas = [1 + 0.9 * 0.6 - 0.5, 2 + 0.9 * 0.7 - 0.6, 3 + 0.9 * 0.8 - 0.7, 4 + 0.9 * 0.9 - 0.8]
    expected = [deltas[0] + 0.72 * deltas[1], deltas[1], deltas[2] + 0.72 * deltas[3], deltas[3]]
    returns, advantages = gae(rewards, values, dones, last, GAMMA, LAM, acting)
    torch.testing.assert_close(advantages.squeeze(-1), torch.tensor(expected))
    torch.testing.assert_close(returns, advantages + values)


def test_nothing_leaks_past_a_switch():
    """What happens after it changes earlier advantages only by the value at the switch."""
    rewards, values, dones, last = _rollout(10, 4)
    dones = torch.zeros_like(dones)
    acting = (torch.arange(10) < 5).view(-1, 1, 1).expand_as(dones)
    _, before = gae(rewards, values, dones, last, GAMMA, LAM, acting)
    other_rewards, other_values = rewards.clone(), values.clone()
    other_rewards[5:] += 100.0
    other_values[6:] += 100.0
    _, after = gae(other_rewards, other_values, dones, last + 100.0, GAMMA, LAM, acting)
    assert torch.equal(before[:5], after[:5])
    assert not torch.equal(before[5:], after[5:])
    other_values[5] += 1.0
    _, bootstrapped = gae(other_rewards, other_values, dones, last, GAMMA, LAM, acting)
    torch.testing.assert_close(bootstrapped[4] - before[4], torch.full((4, 1), GAMMA))


def test_a_critic_that_tells_policies_apart_bootstraps_with_its_own_value():
    rewards, values, dones, last = _rollout(3, 2)
    dones = torch.zeros_like(dones)
    acting = torch.tensor([True, False, False]).view(-1, 1, 1).expand_as(dones)
    own = torch.full_like(values, 7.0)
    _, advantages = gae(rewards, values, dones, last, GAMMA, LAM, acting, own)
    torch.testing.assert_close(advantages[0], rewards[0] + GAMMA * 7.0 - values[0])
    _, plain = gae(rewards, values, dones, last, GAMMA, LAM, acting)
    assert torch.equal(advantages[1:], plain[1:])
