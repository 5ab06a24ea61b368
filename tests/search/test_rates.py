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
from limbeck.training.evaluation import Evaluation
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


def chosen(*metrics, losses=None):
    grid = tuple(10.0**-power for power in range(len(metrics), 0, -1))
    losses = losses or [1.0] * len(metrics)
    found = {
        rate: None if metric is None else Evaluation(metric, loss, 10)
        for rate, metric, loss in zip(grid, metrics, losses, strict=True)
    }
    return grid.index(RateSearch(SETTINGS, Length.of(SETTINGS, 6), grid=grid)._chosen(found)[0])


def test_a_lucky_score_before_training_breaks_down_is_not_taken():
    # Digits, 180 validation samples: of the whole trainings the second to last reached .932, the last but one .905.
    assert chosen(0.083, 0.089, 0.328, 0.589, 0.856, 0.878, 0.900, 0.100) == 5


def test_a_clear_winner_is_taken_whatever_stands_beside_it():
    assert chosen(0.1, 0.2, 0.3, 0.9, 0.1) == 3
    assert chosen(0.1, 0.2, 0.3, 0.9, None) == 3


def test_the_edge_of_the_grid_can_win():
    assert chosen(0.1, 0.5, 0.9) == 2
    assert chosen(0.9, 0.5, 0.1) == 0


def test_how_badly_a_rate_fails_does_not_count_against_its_neighbour():
    assert chosen(-3.0, -2.0, -1.0, -1e30) == 2
    assert chosen(-3.0, -2.0, -1.0, -4.0) == 2


def test_a_rate_that_diverged_is_never_taken():
    assert chosen(None, 0.1, None) == 1
    with pytest.raises(Diverged):
        chosen(None, None)


def test_of_equal_scores_the_lower_loss_decides():
    assert chosen(0.5, 0.5, 0.5, losses=[3.0, 2.0, 1.0]) == 2
