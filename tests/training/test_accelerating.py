"""What accelerate is asked for."""

import pytest
from torch.utils.data import DataLoader

from limbeck.recipe import Settings
from limbeck.training.accelerating import make_accelerator, twin
from limbeck.training.private_loader import private
from tests.toys import images


@pytest.mark.parametrize("pinned", [True, False])
def test_pinned_memory_stays_pinned_and_is_copied_without_waiting(pinned):
    accelerator = make_accelerator(Settings(), "cpu")
    dealt = accelerator.prepare(private(DataLoader(images(32), batch_size=8, pin_memory=pinned), 0))
    assert dealt.pin_memory == pinned
    assert dealt._non_blocking
    assert twin(accelerator).non_blocking
