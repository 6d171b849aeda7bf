"""What PyTorch and JAX bring: their arrays, transformations, compilers and modules."""
