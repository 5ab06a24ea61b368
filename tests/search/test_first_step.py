"""The learning rate that is read off the optimizer's first step."""

import pytest
import torch
from accelerate import Accelerator
from torch import nn
from torch.nn import functional as F

from limbeck.balancers import Fixed
from limbeck.batch import Batch
from limbeck.distiller import Distiller
from limbeck.outputs import CrossEntropy
from limbeck.planning import Pair, build, fit_targets
from limbeck.recipe import Recipe, Settings
from limbeck.search import first_step, first_step_rate
from limbeck.teachers import Teacher
from tests.toys import conv_net, loader, pair, trained

SETTINGS = Settings()


def batches(size=1.0, count=2):
    torch.manual_seed(3)
    return [Batch(size * torch.randn(32, 1, 8, 8), torch.randint(3, (32,))) for _ in range(count)]


def perceptron():
    torch.manual_seed(0)
    return nn.Sequential(nn.Flatten(), nn.Linear(64, 16), nn.ReLU(), nn.Linear(16, 3))


def distiller(student):
    return Distiller(student, outputs=[CrossEntropy()], balancer=Fixed(["output"], output=1.0))


def rate(student, data, settings=SETTINGS):
    return first_step_rate(distiller(student), None, data, settings=settings, accelerator=Accelerator(cpu=True))


@pytest.mark.parametrize("optimizer", ["AdamW", "SGD"])
def test_no_rate_nearby_lowers_the_loss_more(optimizer):
    student, data = perceptron(), batches()
    found = rate(student, data, Settings(optimizer=optimizer, weight_decay=0.0))
    parameters = list(student.parameters())
    losses = [F.cross_entropy(student(each.inputs), each.targets) for each in data]
    gradients = torch.autograd.grad(sum(losses), parameters)
    moves = [-each.sign() if optimizer == "AdamW" else -each for each in gradients]

    def after(step):
        moved = {name: p + step * m for (name, p), m in zip(student.named_parameters(), moves, strict=True)}
        with torch.no_grad():
            return sum(
                F.cross_entropy(torch.func.functional_call(student, moved, each.inputs), each.targets) for each in data
            )

    assert after(found) < after(0.0)
    assert all(after(found) <= after(found * factor) for factor in (0.25, 0.5, 2.0, 4.0))


def test_larger_inputs_ask_for_smaller_rates():
    assert rate(perceptron(), batches(20.0)) < rate(perceptron(), batches()) / 3


def test_trained_weights_ask_for_smaller_rates():
    torch.manual_seed(0)
    student, data = conv_net(8), [Batch(*each) for each in loader(64, batch_size=32)]
    before = rate(student, data)
    assert rate(trained(student, 200).train(), data) < before / 2


def test_nothing_is_touched_and_the_same_call_says_the_same():
    torch.manual_seed(0)
    student = conv_net(3)
    before = {name: value.clone() for name, value in student.state_dict().items()}
    generator = torch.get_rng_state()
    first = rate(student, batches())
    torch.set_rng_state(generator)
    assert rate(student, batches()) == first
    assert all(torch.equal(value, before[name]) for name, value in student.state_dict().items())
    assert all(each.grad is None for each in student.parameters())
    assert not any(each._forward_hooks for each in student.modules())


def test_where_no_step_lowers_the_loss_there_is_no_rate():
    class Infinite(nn.Sequential):
        def forward(self, x):
            return super().forward(x) / 0

    assert rate(Infinite(*perceptron()), batches()) is None
    assert rate(perceptron(), []) is None


def looked(recipe="auto"):
    teacher, student = pair()
    look = Pair.look(teacher, student, loader(), hold=False, show=False)
    plan = look.plan(Recipe.load(recipe), show=False)
    built = build(plan, student, total_steps=10, heads=look.heads)
    with Teacher(teacher, plan.teacher_sites) as source:
        fit_targets(built, source, look.batches)
        yield plan, built, source, look.batches


def test_with_features_it_is_the_mean_of_what_all_losses_and_the_outputs_alone_ask_for(monkeypatch):
    lowest, seen = iter((0.01, 0.04)), []

    def fake(line):
        seen.append(line._distiller)
        return next(lowest)

    monkeypatch.setattr(first_step._Line, "lowest", fake)
    for plan, built, source, known in looked():
        found = first_step_rate(built, source, known, settings=plan.training, accelerator=Accelerator(cpu=True))
    assert found == pytest.approx(0.02)
    whole, alone = seen
    assert len(whole.terms)
    assert not len(alone.terms)
    assert alone.names == whole.names[len(whole.terms) :]


def test_frozen_batch_norms_stay_frozen_along_both_lines(monkeypatch):
    modes, lowest = [], first_step._Line.lowest

    def seen(line):
        norms = [each for each in line._distiller.student.modules() if isinstance(each, nn.BatchNorm2d)]
        modes.append([each.training for each in norms])
        return lowest(line)

    monkeypatch.setattr(first_step._Line, "lowest", seen)
    for plan, built, source, known in looked():
        built.student[1].eval()
        first_step_rate(built, source, known, settings=plan.training, accelerator=Accelerator(cpu=True))
    assert modes == [[False, True], [False, True]]
