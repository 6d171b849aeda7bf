"""What every loss stands on: arguments, blocks of pixels, numerics and the engine."""
