"""Compares ways of training: arms x seeds, the student of each measured alike, differences with their uncertainty."""
