"""What accelerate is asked for."""

import pytest
from torch.utils.data import DataLoader

from limbeck.errors import RecipeError
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


@pytest.mark.parametrize("engine", ["FSDP", "DEEPSPEED", "MEGATRON_LM"])
def test_what_would_split_the_student_is_refused_where_accelerate_overlooks_it(engine, monkeypatch):
    monkeypatch.setenv(f"ACCELERATE_USE_{engine}", "true")
    with pytest.raises(RecipeError, match=f"student in one piece.*{engine}"):
        make_accelerator(Settings(), "cpu")
