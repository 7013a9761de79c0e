"""Rolls a shipped policy out in its own task: `python examples/roll_out.py [go2_flat]`."""

import sys

import legged_cts


def roll_out(name: str = "go2_flat", environments: int = 64, steps: int = 250) -> tuple[float, float]:
    """Return the mean reward per step, and the share of environments in which the robot fell at least once."""
    policy = legged_cts.load_policy(name)
    env = legged_cts.make_env(policy=policy, num_envs=environments)
    obs, _ = env.reset()
    total, fell = 0.0, 0.0
    for _ in range(steps):
        obs, reward, terminated, truncated, _ = env.step(policy(obs))
        policy.reset(terminated | truncated)  # where an episode ended; a recurrent policy begins anew
        total, fell = total + float(reward.mean()), fell + terminated
    env.close()
    return total / steps, float((fell > 0).float().mean())


if __name__ == "__main__":
    reward, falls = roll_out(*sys.argv[1:])
    print(f"reward per step {reward:.4f}, robots that fell {falls:.1%}")
