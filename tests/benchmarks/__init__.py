"""Time and memory of the losses beside other packages: ``python -m tests.benchmarks``."""
