"""The search for the learning rate."""

import pytest
import torch
from torch import nn

from limbeck.balancers import Fixed
from limbeck.batch import adapt_batch
from limbeck.distiller import Distiller
from limbeck.outputs import CrossEntropy, SoftLabels
from limbeck.recipe import Settings
from limbeck.schedules import FeaturesFirst
from limbeck.search import RateSearch
from limbeck.teachers import Teacher
from limbeck.training import Diverged
from limbeck.training.accelerating import make_accelerator
from limbeck.training.length import Length
from limbeck.training.metrics import accuracy
from tests.toys import conv_net, loader

SETTINGS = Settings(steps=100)


def distiller(student, schedule=None):
    return Distiller(
        student, outputs=[CrossEntropy()], balancer=Fixed(["output"], output=1.0), schedule=schedule, total_steps=100
    )


def search(distilled, *, validation="held", **options):
    found = RateSearch(SETTINGS, Length.of(SETTINGS, 6), **options)
    held = loader(64, seed=5) if validation == "held" else validation
    return found(
        distilled, None, loader(), held, metric=accuracy, adapt=adapt_batch,
        accelerator=make_accelerator(SETTINGS, "cpu"), show=False,
    )  # fmt: skip


def test_the_rate_that_learns_is_found_and_the_student_is_not_touched():
    student = conv_net(3)
    before = {name: value.clone() for name, value in student.state_dict().items()}
    rate, choice = search(distiller(student), grid=(1e-7, 2e-2))
    assert rate == choice.value == 2e-2
    assert all(torch.equal(value, before[name]) for name, value in student.state_dict().items())
    assert not student[0]._forward_hooks


def test_a_trial_is_judged_at_its_end_when_the_outputs_have_acted():
    _, choice = search(distiller(conv_net(3), FeaturesFirst(share=0.9)), grid=(1e-3, 1e-2))
    assert None not in choice.candidates.values()


def test_a_short_run_never_costs_more_than_the_budget():
    for budget, grid in ((3.0, 8), (1.5, 8), (2.0, 2)):
        found = RateSearch(Settings(steps=4000), Length.of(Settings(steps=4000), 6), budget, grid=(1.0,) * grid)
        # All short runs and the training itself, in trainings.
        assert grid * found.short.steps + 4000 <= budget * 4000


@pytest.mark.parametrize(("options", "reason"), [({"validation": None}, "no validation"), ({"budget": None}, "off")])
def test_what_cannot_be_searched_is_said(options, reason):
    rate, choice = search(distiller(conv_net(3)), **options)
    assert rate == 1e-3
    assert reason in choice.reason


def test_where_no_rate_gives_a_finite_loss_that_is_said():
    class Exploding(nn.Sequential):
        def forward(self, x):
            return super().forward(x) / 0

    with pytest.raises(Diverged, match="No learning rate"):
        search(distiller(Exploding(*conv_net(3))), grid=(1e-3, 1e-2))


def test_the_whole_grid_costs_one_forward_of_the_teacher_a_batch_and_finds_what_runs_one_by_one_find(monkeypatch):
    class Counting(Teacher):
        calls = 0

        def __call__(self, batch):
            self.calls += 1
            return super().__call__(batch)

    def searched(most_bytes):
        monkeypatch.setattr("limbeck.search.rates._MOST_BYTES", most_bytes)
        torch.manual_seed(0)
        balancer = Fixed(["output"], output=1.0)
        distilled = Distiller(conv_net(3), outputs=[SoftLabels()], balancer=balancer, total_steps=100)
        with Counting(conv_net(8)) as source:
            found = RateSearch(SETTINGS, Length.of(SETTINGS, 6), grid=(1e-3, 1e-2, 1e5))(
                distilled, source, loader(), loader(64, seed=5), metric=accuracy, adapt=adapt_batch,
                accelerator=make_accelerator(SETTINGS, "cpu"), show=False,
            )  # fmt: skip
        return found, source.calls

    together, calls = searched(2**31)
    one_by_one, more_calls = searched(0)
    # 25 steps and a look at 4 batches; the run at 1e5 diverges on the way.
    assert calls == 25 + 4
    assert more_calls > 2 * calls
    assert together == one_by_one
    assert set(together[1].candidates) == {"0.001", "0.01", "100000"}
