"""Measures trained policies in the training environments: rollouts, metrics, tables and plots."""
