"""Losses in trainers and configuration tools; `nox -s integrations` runs them."""
