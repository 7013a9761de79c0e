"""Concurrent teacher-student PPO as an rsl_rl algorithm, and the configuration that builds it."""
