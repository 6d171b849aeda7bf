"""The engine: blocks, threads, half precision, and NumPy's functions with little overhead."""
