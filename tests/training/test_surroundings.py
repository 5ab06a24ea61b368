"""A call leaves everything as it found it."""

import random

import numpy as np
import pytest
import torch
from accelerate import Accelerator
from accelerate.state import AcceleratorState, GradientState
from torch import nn

import limbeck
from limbeck.errors import ModelError
from limbeck.training.surroundings import undisturbed
from tests.toys import loader, pair


def distill(teacher, student, **options):
    given = {"steps": 4, "lr": 0.01, "check_teacher": False, "progress": False, **options}
    return limbeck.distill(teacher, student, given.pop("data", None) or loader(), **given)


def modes(*models):
    return [module.training for model in models for module in model.modules()]


def test_every_module_has_its_mode_back_after_success_and_failure():
    teacher, student = pair()
    teacher[1].eval()
    student.eval()
    student[4].train()
    before = modes(teacher, student)
    distill(teacher, student)
    assert modes(teacher, student) == before
    with pytest.raises(ValueError, match="stop"):
        distill(teacher, student, metric=lambda *_: (_ for _ in ()).throw(ValueError("stop")))
    assert modes(teacher, student) == before


def test_a_batch_norm_that_the_user_froze_keeps_its_statistics():
    teacher, student = pair()
    student[1].eval()
    frozen, free = student[1].running_mean.clone(), student[5].running_mean.clone()
    report = distill(teacher, student)
    assert torch.equal(student[1].running_mean, frozen)
    assert not torch.equal(student[5].running_mean, free)
    assert not student[1].training
    assert next(each.value for each in report.plan.choices if each.name == "frozen batch norms") == 1


def test_a_student_in_evaluation_mode_is_trained_in_training_mode():
    teacher, student = pair()
    student.eval()
    before = student[1].running_mean.clone()
    report = distill(teacher, student)
    assert not torch.equal(student[1].running_mean, before)
    assert not any(each.name == "frozen batch norms" for each in report.plan.choices)


def test_models_return_to_the_device_that_each_was_on():
    class Travelling(nn.Linear):
        def to(self, device):
            self.last = torch.device(device)
            return self

    here = Travelling(2, 2)
    with undisturbed(here, nn.Identity()):
        here.to("cuda")
    assert here.last == torch.device("cpu")


@pytest.mark.parametrize("mode", [torch.no_grad, torch.inference_mode])
def test_gradients_are_recorded_whatever_the_callers_mode(mode):
    teacher, student = pair()
    before = student[0].weight.clone()
    with mode():
        plan = limbeck.plan(teacher, student, loader())
        distill(teacher, student, plan=plan)
        assert not torch.is_grad_enabled()
    assert not torch.equal(student[0].weight, before)
    assert student[0].weight.requires_grad


def test_a_model_made_in_inference_mode_is_an_error():
    teacher, _ = pair()
    with torch.inference_mode():
        _, student = pair()
    with pytest.raises(ModelError, match=r"inference_mode.*outside"):
        distill(teacher, student)


def test_generators_are_given_back():
    def states():
        return torch.get_rng_state().tolist(), random.getstate(), np.random.get_state()[1].tolist()

    before = states()
    with undisturbed():
        torch.rand(1), random.random(), np.random.rand()
    assert states() == before


@pytest.fixture
def fresh_accelerate():
    """accelerate as in a new process, before and after."""
    AcceleratorState._reset_state()
    GradientState._reset_state()
    yield
    AcceleratorState._reset_state()
    GradientState._reset_state()


def test_an_accelerator_of_the_users_own_works_as_before(fresh_accelerate):
    own = Accelerator(cpu=True, mixed_precision="bf16", gradient_accumulation_steps=3)
    distill(*pair(), precision="no")
    assert own.mixed_precision == "bf16"
    assert own.gradient_accumulation_steps == 3
    model = own.prepare(nn.Linear(2, 2))
    with own.accumulate(model), own.autocast():
        assert model(torch.zeros(1, 2)).dtype == torch.float32
        assert not own.sync_gradients


def test_a_loader_used_twice_gives_the_same_student_twice():
    data = loader(generator=torch.Generator().manual_seed(1))
    sampler = data.sampler
    first = distill(*pair(), data=data, validation=loader(32, seed=5)).student
    assert data.sampler is data.batch_sampler.sampler is sampler
    second = distill(*pair(), data=data, validation=loader(32, seed=5)).student
    assert torch.equal(first[0].weight, second[0].weight)
