"""Scores and distance maps."""
