"""Where the tensors of all tests live, of what precision they are, and from which seed they are drawn."""

from __future__ import annotations

import gc
import os

import pytest
import torch

DEVICE = os.environ.get("PYTEST_TORCH_DEVICE", "cpu")
DTYPE = getattr(torch, os.environ.get("PYTEST_TORCH_DTYPE", "float32"))


def pytest_configure(config):
    # The networks of the tests are too small for several threads to pay, and threads that wait slow each other down.
    torch.set_num_threads(1)
    # Parametrised tests build their tensors while they are collected, so a fixture would come too late.
    if DEVICE != "cpu":
        torch.set_default_device(DEVICE)
    torch.set_default_dtype(DTYPE)


def pytest_collection_finish():
    # Each training ends with a search for garbage (accelerate), which need not go through what was imported by now.
    gc.collect()
    gc.freeze()


@pytest.fixture(autouse=True)
def _seed():
    torch.manual_seed(0)
