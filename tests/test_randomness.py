import contextlib
import random

import numpy as np
import pytest
import torch

from limbeck.randomness import own_randomness, seed_all, seed_place


def drawn():
    return random.random(), float(np.random.random()), float(torch.rand(()))


def test_the_seeds_are_those_that_every_generator_takes_by_itself():
    seed = int(np.random.SeedSequence((3, 1, 4)).generate_state(1)[0])
    random.seed(seed)
    np.random.seed(seed)
    torch.manual_seed(seed)
    expected = drawn()
    seed_all(3, 1, 4)
    assert drawn() == expected


@pytest.mark.parametrize("place", [0, 1, 127, 128, 1000])
def test_places_that_are_mixed_in_blocks_have_the_seeds_they_have_by_themselves(place):
    seed_all(3, 1, place, 2)
    expected = drawn()
    seed_place(3, 1, place, 2)
    assert drawn() == expected


def test_other_numbers_give_other_seeds():
    seed_all(0, 1)
    first = drawn()
    seed_all(1, 0)
    assert all(a != b for a, b in zip(first, drawn(), strict=True))


def test_the_generators_of_the_caller_go_on_where_they_were():
    seed_all(1)
    expected = [drawn(), drawn()]
    seed_all(1)
    found = [drawn()]
    with own_randomness():
        seed_all(2)
        drawn()
    found.append(drawn())
    assert found == expected


def test_they_do_so_after_an_error():
    seed_all(1)
    expected = drawn()
    seed_all(1)
    with contextlib.suppress(ValueError), own_randomness():
        seed_all(2)
        raise ValueError
    assert drawn() == expected


@pytest.mark.skipif(torch.accelerator.is_available(), reason="there are devices to ask")
def test_without_devices_none_is_asked(monkeypatch):
    # Set by Lightning for the whole process: then torch counts devices to tell whether there are any.
    monkeypatch.delenv("PYTORCH_NVML_BASED_CUDA_CHECK", raising=False)
    monkeypatch.setattr(torch, "manual_seed", lambda _: pytest.fail("asked every kind of device"))
    monkeypatch.setattr(torch.cuda, "device_count", lambda: pytest.fail("counted devices"))
    with own_randomness():
        seed_all(1)
