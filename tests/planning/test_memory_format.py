"""Channels last is a measured choice, or the user's, and leaves nothing behind."""

import pytest
import torch
from torch import nn

import limbeck
from limbeck.batch import Batch
from limbeck.planning import memory_format as module
from limbeck.planning.memory_format import memory_format
from tests.toys import loader, pair

IMAGES = Batch(torch.randn(8, 1, 8, 8))


def channels_last(model):
    return [each.is_contiguous(memory_format=torch.channels_last) for each in model.parameters() if each.ndim == 4]


@pytest.mark.parametrize(("seconds", "taken"), [((1.0, 0.85), True), ((1.0, 0.95), False), ((1.0, 1.3), False)])
def test_channels_last_is_taken_where_it_saves_a_tenth(monkeypatch, seconds, taken):
    monkeypatch.setattr(module, "_measured", lambda *_: seconds)
    teacher, student = pair()
    with memory_format("auto", student, teacher, IMAGES) as (choice,):
        assert all(channels_last(student)) == all(channels_last(teacher)) == taken
    assert (choice.value == "channels last") == taken
    assert list(choice.candidates.values()) == list(seconds)


def test_measuring_changes_neither_network():
    teacher, student = pair()
    before = {name: value.clone() for name, value in student.state_dict().items()}
    with memory_format("auto", student, teacher, IMAGES) as (choice,):
        assert set(choice.candidates) == {"as given", "channels last"}
    assert all(torch.equal(value, before[name]) for name, value in student.state_dict().items())
    assert all(each.grad is None for each in student.parameters())


def test_every_weight_gets_its_own_format_back():
    teacher, student = pair()
    student[4].to(memory_format=torch.channels_last)
    strides = [each.stride() for each in student.parameters()]
    with memory_format("channels last", student, teacher, IMAGES):
        pass
    assert [each.stride() for each in student.parameters()] == strides


def test_without_images_there_is_no_choice():
    plain = nn.Linear(4, 2)
    with memory_format("channels last", plain, plain, Batch(torch.zeros(2, 4))) as (choice,):
        assert choice.value == "as given"
    with memory_format("as given", *pair(), IMAGES) as choices:
        assert choices == ()


def test_a_distillation_trains_in_the_format_and_gives_it_back():
    given = {"steps": 6, "lr": 0.01, "check_teacher": False, "progress": False}
    teacher, student = pair()
    seen = []

    def see(module, *_):
        seen.extend([module.weight.is_contiguous()] if module.training else [])

    student[4].register_forward_hook(see)
    report = limbeck.distill(
        teacher, student, loader(), recipe={"training": {"memory_format": "channels last"}}, **given
    )
    # Planning runs the network as it was given.
    assert not any(seen[-6:])
    # A weight of one input channel lies alike in both.
    assert channels_last(student) == [True, False, False]
    found = next(each for each in report.plan.choices if each.name == "memory format")
    assert found.value == "channels last"
    assert report.history.rows[-1]["step"] == 6
