"""Robots as data: the spec, its USD and its symmetry."""
