"""Several students on the same batches: each is what it would be alone, and the teacher is asked once."""

import os
import signal

import pytest
import torch
from torch import nn

from limbeck.balancers import RLW, Fixed, TapNorm
from limbeck.context import NO_HEADS
from limbeck.distiller import Distiller, Term
from limbeck.errors import DataError, RecipeError
from limbeck.links import FeatureSpec, Link
from limbeck.losses import MGD, MSE, SimilarityPreserving
from limbeck.outputs import CrossEntropy, SoftLabels
from limbeck.projectors import Linear
from limbeck.recipe import Settings
from limbeck.teachers import Teacher
from limbeck.training import Candidate, Diverged, History, Interrupted, SideBySide, Trainer
from limbeck.training.accelerating import make_accelerator
from limbeck.training.length import Length
from limbeck.training.metrics import accuracy
from tests.toys import conv_net, loader
from tests.training.test_trainer import noisy

HEAD = Link(FeatureSpec("11", "BC", 12), FeatureSpec("11", "BC", 32))
MIDDLE = Link(
    FeatureSpec("6", "BCHW", 6, positions=16, grid=(4, 4)), FeatureSpec("6", "BCHW", 16, positions=16, grid=(4, 4))
)
STEPS = 14


class Counting(Teacher):
    """Notes for how many samples it was asked."""

    calls = 0

    def __call__(self, batch):
        self.calls += 1
        return super().__call__(batch)


def source():
    torch.manual_seed(7)
    return Counting(conv_net(8), [HEAD.teacher, MIDDLE.teacher])


def with_mse(student):
    term = Term(HEAD, loss=MSE(), projector=Linear.for_link(HEAD))
    balancer = TapNorm(["feature", "output"])
    return Distiller(student, terms=[term], outputs=[CrossEntropy()], balancer=balancer, total_steps=STEPS)


def with_masks(student):
    # Both the loss and the balancer draw random numbers.
    term = Term(MIDDLE, loss=MGD.for_link(MIDDLE, NO_HEADS), projector=Linear.for_link(MIDDLE))
    balancer = RLW(["feature", "output"])
    return Distiller(student, terms=[term], outputs=[SoftLabels()], balancer=balancer, total_steps=STEPS)


def alone(student):
    balancer = Fixed(["output"], output=1.0)
    return Distiller(student, outputs=[CrossEntropy()], balancer=balancer, total_steps=STEPS)


# Distiller, rate and settings of each.
KINDS = [
    (with_mse, 0.01, {}),
    (with_mse, 0.05, {"ema": 0.9, "clip": None}),
    (with_masks, 0.02, {"optimizer": "SGD", "evaluations": 3}),
    (alone, 0.02, {"warmup": 0.5}),
]


def candidate(cls, kind, teacher, **changed):
    make, lr, settings = kind
    torch.manual_seed(3)
    distiller = make(conv_net(3))
    chosen = Settings(**{"steps": STEPS, "evaluations": 4, **settings, **changed.pop("settings", {})})
    given = {"settings": chosen, "lr": lr, "length": Length.of(chosen, 6), "metric": accuracy, "label": None, **changed}
    return cls(distiller, teacher, **given)


@pytest.fixture(autouse=True)
def _moments_kept(monkeypatch):
    """What the optimizer knows at the end, which goes with the optimizer otherwise."""
    end = Candidate.end

    def keeping(self):
        self.moments = {
            f"{index}.{name}": torch.as_tensor(value)
            for index, each in self._optimizer.state_dict()["state"].items()
            for name, value in each.items()
            if value is not None
        }
        end(self)

    monkeypatch.setattr(Candidate, "end", keeping)


def result(trained):
    """Everything that a training leaves: weights, the optimizer's state, history without times, evaluation."""
    weights = dict(trained.distiller.state_dict())
    rows = [{name: value for name, value in row.items() if name != "seconds"} for row in trained.history]
    return {**weights, **trained.moments}, rows, trained.state.evaluation


def same(first, second):
    assert first[0].keys() == second[0].keys()
    for name, value in first[0].items():
        # A balancer keeps NaN where there is nothing to measure.
        torch.testing.assert_close(value, second[0][name], rtol=0.0, atol=0.0, equal_nan=True, msg=name)
    assert first[1:] == second[1:]


@pytest.mark.parametrize("settings", [{}, {"accumulate": 2}])
def test_raced_equals_alone_to_the_last_bit(settings):
    apart = []
    for kind in KINDS:
        with source() as teacher:
            trained = candidate(Trainer, kind, teacher, settings=settings)
            trained.fit(noisy(), loader(64, seed=5))
            apart.append(result(trained))
    with source() as teacher:
        raced = [candidate(Candidate, kind, teacher, settings=settings) for kind in KINDS]
        outcomes = SideBySide(raced).fit(noisy(), loader(64, seed=5))
    for each, outcome, expected in zip(raced, outcomes, apart, strict=True):
        same(result(each), expected)
        assert outcome == (expected[2], None)


def test_the_teacher_is_asked_once_a_batch_and_the_data_read_once():
    read = []

    class Reading(list):
        def __iter__(self):
            for batch in super().__iter__():
                read.append(len(batch[0]))
                yield batch

    data, held = Reading(loader()), Reading(loader(64, seed=5))
    with source() as teacher:
        raced = [candidate(Candidate, kind, teacher, settings={"evaluations": 2}) for kind in KINDS]
        SideBySide(raced).fit(data, held)
    # 14 steps, and two looks at four batches of validation data; another batch is drawn only when it is needed.
    assert teacher.calls == STEPS + 2 * 4
    assert len(read) == STEPS + 2 * 4


def test_a_student_that_overwrites_its_inputs_does_not_disturb_the_others():
    class Overwriting(nn.Sequential):
        def forward(self, x):
            return super().forward(x.mul_(2.0))

    def rough(_):
        torch.manual_seed(3)
        return alone(Overwriting(*conv_net(3)))

    kinds = [(rough, 0.02, {}), (with_mse, 0.01, {})]
    with source() as teacher:
        expected = candidate(Trainer, kinds[1], teacher)
        expected.fit(noisy())
    with source() as teacher:
        raced = [candidate(Candidate, kind, teacher) for kind in kinds]
        SideBySide(raced).fit(noisy())
    same(result(raced[1]), result(expected))


def test_one_that_diverges_leaves_and_the_others_go_on():
    with source() as teacher:
        raced = [candidate(Candidate, (make, lr, {}), teacher) for make, lr in ((with_mse, 0.01), (alone, 0.02))]
        with torch.no_grad():
            raced[0].distiller.student[0].weight.fill_(float("nan"))
        outcomes = SideBySide(raced).fit(loader(), loader(64, seed=5))
    assert isinstance(outcomes[0].diverged, Diverged)
    assert "step 1 " in str(outcomes[0].diverged)
    assert outcomes[1].diverged is None
    assert raced[1].history.rows[-1]["step"] == STEPS


def test_lengths_and_smallest_batches_may_differ():
    def relational(student):
        term = Term(HEAD, loss=SimilarityPreserving())
        return Distiller(student, terms=[term], balancer=Fixed(["feature"]), total_steps=STEPS)

    with source() as teacher:
        raced = [
            candidate(Candidate, (relational, 0.01, {}), teacher),
            candidate(Candidate, (alone, 0.01, {"steps": 5}), teacher),
        ]
        # 49 samples in batches of 16 leave a last batch of one, which the relational loss cannot use.
        SideBySide(raced).fit(loader(49))
    assert [each.history.rows[-1]["step"] for each in raced] == [STEPS, 5]


def test_stopped_candidates_go_on_where_each_of_them_was(tmp_path):
    def raced(stop_at=None):
        teacher = source()
        found = [
            candidate(
                Candidate, kind, teacher, checkpoint=tmp_path / str(index), save_every=0.0,
                history=History(tmp_path / f"{index}.jsonl"),
            )
            for index, kind in enumerate(KINDS)
        ]  # fmt: skip
        step, found[0].done = found[0].distiller.step, 0

        def counted():
            found[0].done += 1
            if found[0].done == stop_at:
                os.kill(os.getpid(), signal.SIGINT)
            step()

        found[0].distiller.step = counted
        return found

    whole = raced()
    SideBySide(whole).fit(noisy(), loader(64, seed=5))
    expected = [result(each) for each in whole]
    for each in tmp_path.glob("*.jsonl"):
        each.unlink()
    stopped = raced(stop_at=8)
    with pytest.raises(Interrupted, match="step 8 of 14"):
        SideBySide(stopped).fit(noisy(), loader(64, seed=5))
    # As if the process had been killed before the second one was saved again.
    (tmp_path / "1" / "state.json").unlink()
    resumed = raced()
    for index, each in enumerate(resumed):
        each.history = History.read(tmp_path / f"{index}.jsonl")
    SideBySide(resumed).fit(noisy(), loader(64, seed=5), resume=True)
    for each, before in zip(resumed, expected, strict=True):
        same(result(each), before)


def test_what_cannot_be_shared_is_refused():
    with source() as teacher:
        with pytest.raises(RecipeError, match="same seed"):
            SideBySide([candidate(Candidate, KINDS[0], teacher, settings={"seed": seed}) for seed in (0, 1)])
        one = make_accelerator(Settings(), "cpu")
        with pytest.raises(RecipeError, match="an accelerator each"):
            SideBySide([candidate(Candidate, KINDS[0], teacher, accelerator=one) for _ in range(2)])


@pytest.fixture
def _device_that_runs_ahead(monkeypatch):
    monkeypatch.setattr("limbeck.training.candidate.cheap_to_ask", lambda _: False)


@pytest.mark.usefixtures("_device_that_runs_ahead")
def test_the_first_bad_step_is_named_though_it_is_asked_for_later():
    with source() as teacher:
        trained = candidate(Trainer, (with_mse, 0.01, {"evaluations": 1}), teacher)
        step = trained.distiller.step

        def breaking():
            step()
            if trained.state.step == 3:
                with torch.no_grad():
                    trained.distiller.terms[0].projector.map.weight.fill_(float("nan"))

        trained.distiller.step = breaking
        # The projector is NaN from step 4 on, everything is from step 5 on; it is asked for at step 10.
        with pytest.raises(Diverged, match=r"step 4 \(first in '11 <- 11'\)"):
            trained.fit(loader())


@pytest.mark.usefixtures("_device_that_runs_ahead")
def test_the_batch_of_the_first_bad_step_is_blamed_though_later_ones_are_clean():
    batches = list(loader())
    batches[2][0][0, 0, 0, :2] = float("nan")
    with source() as teacher, pytest.raises(DataError, match="step 3: inputs must be finite. Found 2"):
        candidate(Trainer, (with_mse, 0.01, {"evaluations": 1}), teacher).fit(batches)
