"""What validation is judged by, and when."""

from types import SimpleNamespace

import pytest
import torch
from torch import nn
from torch.utils.data import DataLoader

import limbeck
from limbeck.balancers import Fixed, TapNorm
from limbeck.distiller import Distiller, Term
from limbeck.links import FeatureSpec, Link
from limbeck.losses import MSE
from limbeck.outputs import CrossEntropy
from limbeck.projectors import Linear
from limbeck.recipe import Settings
from limbeck.schedules import CosineDecay, FeaturesFirst
from limbeck.teachers import Teacher
from limbeck.training import Trainer
from limbeck.training.length import Length
from limbeck.training.metrics import accuracy
from tests.toys import loader, pair

LINK = Link(FeatureSpec("11", "BC", 12), FeatureSpec("11", "BC", 32))


def distilling(student, *, balancer, schedule=None, outputs=True):
    return Distiller(
        student,
        terms=[Term(LINK, loss=MSE(), projector=Linear.for_link(LINK))],
        outputs=[CrossEntropy()] if outputs else [],
        balancer=balancer,
        schedule=schedule,
        total_steps=20,
    )


def fit(distiller, teacher, *, metric=None, **settings):
    # With a rate of zero and no batch statistics nothing of the student moves.
    for module in distiller.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.momentum = 0.0
    chosen = Settings(**{"steps": 20, "evaluations": 10, **settings})
    with Teacher(teacher, distiller.teacher_sites) as source:
        training = Trainer(
            distiller, source, settings=chosen, lr=0.0, length=Length.of(chosen, 6), metric=metric, label=None
        )
        return training, training.fit(loader(), loader(64, seed=5, shuffle=False))


def test_patience_is_not_counted_while_the_schedule_holds_the_outputs_back():
    teacher, student = pair()
    balancer = Fixed(["feature", "output"])
    distiller = distilling(student, balancer=balancer, schedule=FeaturesFirst(share=0.5))
    training, _ = fit(distiller, teacher, metric=accuracy, patience=2)
    # Looks at 2, 4, ..., 20; the outputs act from step 10 on, so 12 is the first to be judged, and with a rate of zero
    # 14 and 16 exhaust the patience.
    assert training.history.rows[-1]["step"] == 16
    assert [step for step, _ in training.history.column("validation")] == [2, 4, 6, 8, 10, 12, 14, 16]


def test_patience_counts_from_the_start_where_features_alone_are_learnt():
    teacher, student = pair()
    distiller = distilling(student, balancer=Fixed(["feature"]), schedule=FeaturesFirst(share=0.5), outputs=False)
    training, found = fit(distiller, teacher, patience=2)
    assert training.history.rows[-1]["step"] == 6
    assert found.loss > 0


def test_validation_by_the_loss_stays_the_same_while_schedule_and_balance_move():
    teacher, student = pair()
    for balancer in (Fixed(["feature", "output"], feature=3.0, output=1.0), TapNorm(["feature", "output"])):
        distiller = distilling(student, balancer=balancer, schedule=CosineDecay(start=0.1, end=0.2))
        training, _ = fit(distiller, teacher)
        looks = [value for _, value in training.history.column("validation")]
        weights = [next(iter(row["weights"].values())) for row in training.history]
        assert max(weights) > 1.5 * min(weights)
        assert len(set(looks)) == 1


def test_judging_weights_are_those_at_the_end_of_the_schedule_before_anything_was_measured():
    _, student = pair()
    fixed = Fixed(["feature", "output"], feature=3.0, output=2.0)
    assert distilling(student, balancer=fixed).judging_weights.tolist() == [3.0, 2.0]
    faded = distilling(student, balancer=fixed, schedule=CosineDecay(start=0.0, end=0.5))
    assert faded.judging_weights.tolist() == [1.5, 2.0]
    first = distilling(student, balancer=fixed, schedule=FeaturesFirst())
    assert first.judging_weights.tolist() == pytest.approx([0.0, 2.0])
    silent = Fixed(["feature", "output"], feature=3.0, output=0.0)
    assert distilling(student, balancer=silent, schedule=FeaturesFirst()).judging_weights.tolist() == [3.0, 0.0]
    tap = TapNorm(["feature", "output"])
    tap.log_ratio.fill_(1.0)
    tap.count.fill_(5)
    assert distilling(student, balancer=tap).judging_weights.tolist() == [1.0, 1.0]


def distill(**options):
    given = {"steps": 8, "lr": 0.01, "check_teacher": False, "progress": False, **options}
    return limbeck.distill(*pair(), loader(), **given)


def choice(report, name):
    return next(each for each in report.plan.choices if each.name == name)


@pytest.mark.parametrize("recipe", ["features", {"balancer": {"kind": "Fixed", "feature": 1, "output": 0}}])
def test_features_alone_are_judged_by_the_held_out_feature_loss(recipe):
    report = distill(recipe=recipe)
    assert report.metric == "minus the feature loss"
    assert report.evaluation.metric == -report.evaluation.loss
    assert report.teacher_score is None
    assert "not trained" in choice(report, "selection").reason


def test_features_alone_are_judged_by_a_metric_of_ones_own():
    report = distill(recipe="features", metric=lambda _, targets: torch.full((len(targets),), 0.5))
    assert report.evaluation.metric == 0.5


def test_the_plan_says_what_selected():
    assert choice(distill(), "selection").value == "accuracy on validation"
    first = distill(recipe="features-first")
    assert "after 30 % of the steps" in choice(first, "selection").reason


def test_a_length_without_validation_does_not_speak_of_improvement():
    length = Length.of(Settings(patience=3), None, validated=False)
    assert "improvement" not in length.choice.reason
    assert "no validation data" in length.choice.reason
    assert "improvement" in Length.of(Settings(), None).choice.reason


class Shifted(nn.Module):
    """A language model that computes its own loss."""

    def __init__(self, width):
        super().__init__()
        self.embed, self.inner, self.head = nn.Embedding(9, width), nn.Linear(width, width), nn.Linear(width, 9)

    def forward(self, input_ids, labels=None):
        logits = self.head(self.inner(self.embed(input_ids)).relu())
        told = (
            None
            if labels is None
            else nn.functional.cross_entropy(logits[:, :-1].flatten(0, 1), labels[:, 1:].flatten())
        )
        return SimpleNamespace(logits=logits, loss=told) if told is not None else {"logits": logits}


def test_a_student_that_judges_its_labels_itself_is_selected_by_its_own_loss():
    tokens = torch.randint(0, 9, (32, 7), generator=torch.Generator().manual_seed(0))
    rows = [{"input_ids": each, "labels": each.clone()} for each in tokens]
    train, held = DataLoader(rows[:24], batch_size=8), DataLoader(rows[24:], batch_size=8)
    student = Shifted(8)
    report = limbeck.distill(
        Shifted(16), student, train, validation=held, steps=3, lr=0.01, check_teacher=False, progress=False
    )
    batch = next(iter(held))
    with torch.no_grad():
        own = student(**batch).loss.item()
    assert report.evaluation.metric == pytest.approx(-own, rel=1e-5)
    assert report.metric == "minus the student's own loss"
    assert choice(report, "selection").reason == "the student judges its labels itself"
