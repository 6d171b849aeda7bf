"""PyTorch for these tests: not beside a GPU, whose place the fake device would take."""

import pytest


@pytest.fixture
def torch(torch):
    if torch.cuda.is_available():
        pytest.skip("PyTorch has a GPU here, and knows but one device beside the CPU")
    return torch
