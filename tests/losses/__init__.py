"""The losses: each family, their values and gradients, and the oracle they are compared with."""
