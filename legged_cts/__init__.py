"""Concurrent teacher-student locomotion learning on Isaac Lab."""
