"""The words of the axes, apart from what computes with them, so that a configuration is checked without torch."""

from __future__ import annotations

DIVERGENCES = ("reverse_kl", "forward_kl", "mse", "w2", "nll", "jsd", "geometric_jsd")
UNITS = ("env", "step", "episode", "prefix", "suffix")
MODES = ("full", "fixed", "ratio")
ORDERS = ("fixed", "bernoulli")
LEARNERS = ("student", "teacher", "both")
PLACES = ("loss", "return", "ratio")
