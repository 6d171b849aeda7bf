"""Presets against the libraries whose names they have."""
