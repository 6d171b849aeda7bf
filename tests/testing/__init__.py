"""`array_losses.testing`, the helpers that users test with."""
