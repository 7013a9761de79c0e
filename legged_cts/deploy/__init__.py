"""Runs an exported policy on a robot, real or simulated, without torch and without Isaac Lab."""
