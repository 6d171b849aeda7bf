"""Calls that a type checker must accept, and calls that it must not: mypy reads these files."""
