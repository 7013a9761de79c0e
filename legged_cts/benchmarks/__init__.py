"""Measurements of speed: ratios taken on one machine in one run."""
