"""The contract checks of the other families catch components that are wrong, each by the check made for it."""

from dataclasses import dataclass
from typing import ClassVar

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from catalogue import LARGE_MAP, MAP, SMALL_MAP, TEXT, WIDE_TEXT
from limbeck.associations import MinimumLink, RandomLinks, ReviewFusion, SemCKD
from limbeck.balancers import Balancer
from limbeck.batch import Batch
from limbeck.capture import Captured
from limbeck.features import Feature
from limbeck.links import Link
from limbeck.mapping import Mapper
from limbeck.outputs import OutputLoss
from limbeck.projectors import Linear
from limbeck.schedules import FeaturesFirst, Schedule
from limbeck.schedules.family import Strength
from limbeck.similarity import MinibatchCKA
from limbeck.targets import Centre, PoolGrid, Standardise
from limbeck.testing import (
    ContractError,
    check_association,
    check_balancer,
    check_capture,
    check_feature_source,
    check_mapper,
    check_output,
    check_projector,
    check_schedule,
    check_similarity,
    check_target,
    run,
)
from limbeck.testing.outputs import check_output_autocast, check_output_minimum_batch


def caught_by(check: str, checker, *subject, **options) -> None:
    with pytest.raises(ContractError) as caught:
        checker(*subject, **options)
    assert caught.value.check == check, caught.value


class CountsIgnoredTokens(OutputLoss):
    requires: ClassVar = frozenset({"targets"})

    def judge(self, context, /):
        rows = context.student_output.flatten(0, -2)
        return F.cross_entropy(rows, context.targets.flatten().clamp_min(0))


def test_output_loss_that_counts_ignored_tokens_is_caught():
    caught_by("check_ignored_tokens", check_output, CountsIgnoredTokens())


class WrongAtEquality(OutputLoss):
    requires: ClassVar = frozenset({"teacher_output"})
    zero_when_equal: ClassVar = True

    def judge(self, context, /):
        return (context.student_output - context.teacher_output).square().mean() + 1


class TakesTooFew(OutputLoss):
    requires: ClassVar = frozenset({"teacher_output"})
    minimum_batch: ClassVar = 2

    def judge(self, context, /):
        return (context.student_output - context.teacher_output).square().mean()

    def _check_parts(self, context):
        """Whether the batch is large enough is not looked at."""


class ProductUnderAutocast(OutputLoss):
    requires: ClassVar = frozenset({"teacher_output"})

    def forward(self, context, /):
        return self.judge(context._replace(student_output=context.student_output.float()))

    def judge(self, context, /):
        error = context.student_output - context.teacher_output.float()
        return torch.linalg.matrix_norm(error @ error.T) / error.numel()


def test_output_loss_that_is_rounded_under_autocast_is_caught():
    with pytest.raises(ContractError, match="under autocast"):
        run([check_output_autocast], ProductUnderAutocast())


def test_output_loss_that_is_not_zero_at_equality_is_caught():
    caught_by("check_output_zero_when_equal", check_output, WrongAtEquality())


def test_output_loss_that_takes_too_few_samples_is_caught():
    with pytest.raises(ContractError, match="declares minimum_batch 2"):
        run([check_output_minimum_batch], TakesTooFew())


class LosesTheMask(Linear):
    def forward(self, student, /):
        return super().forward(student)._replace(mask=None)


class LooksAtPadding(Linear):
    def forward(self, student, /):
        return super().forward(student._replace(x=student.x - student.x.mean(1, keepdim=True)))


class KeepsTheGrid(Linear):
    def forward(self, student, /):
        return super().forward(student)._replace(grid=student.grid)


class SaysItNeedsAGrid(Linear):
    needs_grid: ClassVar = True


class ForgetsParameters(Linear):
    def __init__(self, *sizes, **options):
        super().__init__(*sizes, **options)
        self.unused = nn.Parameter(torch.ones(1))


@pytest.mark.parametrize(
    ("cls", "link", "check"),
    [
        (SaysItNeedsAGrid, Link(MAP, SMALL_MAP), "check_needs_grid"),
        (LosesTheMask, Link(TEXT, WIDE_TEXT), "check_projector_mask"),
        (LooksAtPadding, Link(TEXT, WIDE_TEXT), "check_projector_mask"),
        (KeepsTheGrid, Link(MAP, SMALL_MAP), "check_alignment"),
        (ForgetsParameters, Link(MAP, SMALL_MAP), "check_gradient_reaches_parameters"),
    ],
)
def test_wrong_projector_is_caught(cls, link, check):
    caught_by(check, check_projector, cls.for_link(link), link)


class MovesItsStatistics(Standardise):
    def forward(self, teacher, /):
        if self.training and self.fitted:
            self.mean.lerp_(teacher.x.mean((0, 1)), 0.5)
        return super().forward(teacher)


class CountsPadding(Standardise):
    def fit(self, features, /):
        super().fit([feature._replace(mask=None) for feature in features])


class DescribesNothing(PoolGrid):
    def describe(self, spec, /):
        return spec


class TakesOneSampleToo(Centre):
    def forward(self, teacher, /):
        return teacher if len(teacher.x) < 2 else super().forward(teacher)


class CutsTheGraph(Centre):
    def forward(self, teacher, /):
        return super().forward(teacher.detach())


class CentresPaddingToo(Centre):
    def forward(self, teacher, /):
        return super().forward(teacher._replace(mask=None))._replace(mask=teacher.mask)


@pytest.mark.parametrize(
    ("cls", "link", "check"),
    [
        (TakesOneSampleToo, Link(MAP, LARGE_MAP), "check_target_minimum_batch"),
        (CutsTheGraph, Link(MAP, LARGE_MAP), "check_target_gradient"),
        (CentresPaddingToo, Link(TEXT, WIDE_TEXT), "check_target_mask"),
        (MovesItsStatistics, Link(MAP, LARGE_MAP), "check_frozen"),
        (CountsPadding, Link(TEXT, WIDE_TEXT), "check_fit_is_repeatable"),
        (DescribesNothing, Link(MAP, LARGE_MAP), "check_description"),
    ],
)
def test_wrong_target_is_caught(cls, link, check):
    caught_by(check, check_target, cls.for_link(link), link)


class MovesInForward(Balancer):
    def __init__(self, groups, /):
        super().__init__(groups)
        self.register_buffer("seen", torch.ones(len(groups)))

    def weigh(self, losses, _strength, /):
        self.seen += losses
        return 1 / self.seen


class KeepsStateInAList(Balancer):
    """As a buffer it would be saved and moved; as an attribute it is lost."""

    def __init__(self, groups, /):
        super().__init__(groups)
        self.total = 1.0

    def step(self, losses, _norms=None, /):
        self.total += losses.nan_to_num(posinf=0.0).sum().item()

    def reset(self):
        self.total = 1.0

    def weigh(self, losses, _strength, /):
        return torch.full_like(losses, 1 / self.total)


class WeighsByPlace(Balancer):
    def weigh(self, losses, _strength, /):
        return 1.0 / torch.arange(1, len(losses) + 1)


class DividesByTheLoss(Balancer):
    def __init__(self, groups, /):
        super().__init__(groups)
        self.register_buffer("last", torch.ones(len(groups)))

    def step(self, losses, _norms=None, /):
        self.last.copy_(losses)

    def reset(self):
        self.last.fill_(1.0)

    def weigh(self, _losses, _strength, /):
        return 1 / self.last


class StarvesTheLargest(Balancer):
    """Without saying that it may leave a loss out."""

    def weigh(self, losses, _strength, /):
        return (losses < losses.max() + (len(losses) == 1)).float()


class NeverStarts(Balancer):
    """It may leave a loss out, but not before it knows anything."""

    may_leave_out: ClassVar = True

    def weigh(self, losses, _strength, /):
        return self.select("output") + (len(losses) == 1)


@pytest.mark.parametrize(
    ("make", "check"),
    [
        (MovesInForward, "check_forward_moves_nothing"),
        (KeepsStateInAList, "check_state"),
        (WeighsByPlace, "check_term_order"),
        (DividesByTheLoss, "check_extreme_losses"),
        (StarvesTheLargest, "check_gradient_reaches_every_loss"),
        (NeverStarts, "check_gradient_reaches_every_loss"),
    ],
)
def test_wrong_balancer_is_caught(make, check):
    caught_by(check, check_balancer, make)


class TakesOneSample(ReviewFusion):
    """Though batch normalisation of a vector needs two."""

    minimum_batch: ClassVar = 1


class WeighsBelowZero(MinimumLink):
    def weigh(self, compared, /):
        return super().weigh(compared) - 0.5


class WeighsByRank(MinimumLink):
    """A constant for the nearest link: the costs get no gradient."""

    def forward(self, compared, /):
        return self.weigh(compared).sum(1).mean()


class FusesUndeclared(MinimumLink):
    def fuse(self, students, /):
        return [each._replace(x=each.x * 2) for each in students]


class ForgetsItsChannels(ReviewFusion):
    def fuse(self, students, /):
        return [each._replace(x=each.x[..., 1:]) for each in super().fuse(students)]


class DrawsOneLinkTwice(RandomLinks):
    def active(self):
        return [0, 0]


class WeighsByPlaceInTheBatch(SemCKD):
    def weigh(self, compared, /):
        weights = super().weigh(compared)
        return weights * torch.arange(1.0, len(weights) + 1).unsqueeze(1)


class DividesByTheCosts(MinimumLink):
    def weigh(self, compared, /):
        return super().weigh(compared) / compared.costs.detach()


@pytest.mark.parametrize(
    ("cls", "check"),
    [
        (TakesOneSample, "check_association_minimum_batch"),
        (WeighsBelowZero, "check_weights"),
        (WeighsByRank, "check_costs_get_gradient"),
        (FusesUndeclared, "check_fused"),
        (ForgetsItsChannels, "check_fused"),
        (DrawsOneLinkTwice, "check_links_that_count"),
        (WeighsByPlaceInTheBatch, "check_sample_order"),
        (DividesByTheCosts, "check_extreme_costs"),
    ],
)
def test_wrong_association_is_caught(cls, check):
    caught_by(check, check_association, cls)


@dataclass(frozen=True)
class TrainsNothingAtFirst(Schedule):
    def __call__(self, progress, /):
        return Strength(float(progress > 0.1), float(progress > 0.1))


def test_schedule_that_trains_nothing_is_caught():
    caught_by("check_strengths", check_schedule, TrainsNothingAtFirst())


@dataclass(frozen=True)
class AlwaysTheLast(Mapper):
    """Monotone and useless: every student site learns from the teacher's last."""

    def __call__(self, student, teacher, _scores=None, /):
        return tuple(Link(each, teacher[-1]) for each in student)


@dataclass(frozen=True)
class BackToFront(Mapper):
    def __call__(self, student, teacher, _scores=None, /):
        return tuple(Link(mine, theirs) for mine, theirs in zip(student, reversed(teacher), strict=False))


@pytest.mark.parametrize(
    ("mapper", "check"), [(AlwaysTheLast(), "check_teacher_sites_spread"), (BackToFront(), "check_order_preserving")]
)
def test_wrong_mapper_is_caught(mapper, check):
    caught_by(check, check_mapper, mapper)


class MeanOfBiasedBatches(MinibatchCKA):
    """The trap: the mean of the biased CKA of single batches."""

    def __init__(self):
        super().__init__()
        self.values = []

    def update(self, student, teacher, /):
        super().update(student, teacher)
        tables = [[self._biased(mine, theirs) for theirs in teacher.values()] for mine in student.values()]
        self.values.append(torch.tensor(tables))

    def compute(self):
        super().compute()
        return torch.stack(self.values).mean(0)

    def _biased(self, mine, theirs):
        s, t = (each.x.detach().float().flatten(1) for each in (mine, theirs))
        s, t = s - s.mean(0), t - t.mean(0)
        own = ((s.T @ s).norm() * (t.T @ t).norm()).clamp_min(1e-9)
        return (s.T @ t).square().sum() / own


def test_similarity_that_averages_biased_batches_is_caught():
    caught_by("check_unrelated", check_similarity, MeanOfBiasedBatches)


class CountsItsCalls(nn.Module):
    """Answers differently each time."""

    def __init__(self):
        super().__init__()
        self.inner = nn.Linear(4, 4)
        self.register_buffer("calls", torch.zeros(()))

    def forward(self, x):
        self.calls += 1
        return self.inner(x) + self.calls


def test_model_that_changes_under_capture_is_caught():
    caught_by("check_same_output", check_capture, CountsItsCalls(), torch.ones(2, 4), ["inner"])


class TeacherWithGraph:
    def __init__(self, model):
        self.model = model

    def __call__(self, batch):
        output = self.model(batch.inputs)
        return Captured(output, {"fc": Feature(output.unsqueeze(1))}, {"fc": output})


class InferenceTeacher(TeacherWithGraph):
    @torch.inference_mode()
    def __call__(self, batch):
        return super().__call__(batch)


class DetachedTeacher(TeacherWithGraph):
    @torch.no_grad()
    def __call__(self, batch):
        return super().__call__(batch)


@pytest.mark.parametrize("cls", [TeacherWithGraph, InferenceTeacher])
def test_feature_source_whose_tensors_cannot_be_used_is_caught(cls):
    source = cls(nn.Linear(4, 4).eval())
    caught_by("check_no_graph", check_feature_source, source, Batch(torch.ones(3, 4)), sites=["fc"])


def test_feature_source_is_caught_in_training_mode_and_without_a_site():
    model, batch = nn.Linear(4, 4), Batch(torch.ones(3, 4))
    source = DetachedTeacher(model)
    caught_by("check_teacher_unchanged", check_feature_source, source, batch, sites=["fc"], model=model)
    caught_by("check_all_sites", check_feature_source, source, batch, sites=["fc", "conv"], model=model)
    check_feature_source(source, batch, sites=["fc"], model=model.eval())


class ForgetsToSayWhen(FeaturesFirst):
    r"""Holds the outputs back without declaring it."""

    outputs_from = 0.0


def test_schedule_that_hides_when_outputs_act_is_caught():
    caught_by("check_outputs_from", check_schedule, ForgetsToSayWhen())
