"""The path of tensors on a GPU, without one: a fake device, and what it would launch and move."""
