"""The distiller joins student, terms and balancer."""

import copy
import pickle
import warnings

import pytest
import torch
from torch import nn

from limbeck.balancers import Fixed, TapNorm
from limbeck.batch import Batch
from limbeck.distiller import Distiller, Term
from limbeck.errors import DataError
from limbeck.links import FeatureSpec, Link
from limbeck.losses import MSE
from limbeck.outputs import CrossEntropy, SoftLabels
from limbeck.projectors import Linear
from limbeck.schedules import FeaturesFirst
from limbeck.targets import Standardise
from limbeck.teachers import Teacher


def networks():
    torch.manual_seed(0)
    student = nn.Sequential(nn.Linear(6, 4), nn.Tanh(), nn.Linear(4, 3))
    teacher = nn.Sequential(nn.Linear(6, 8), nn.Tanh(), nn.Linear(8, 3))
    return student, teacher


LINK = Link(FeatureSpec("1", "BC", 4), FeatureSpec("1", "BC", 8))


def make(student, balancer=None, **options):
    term = Term(LINK, loss=MSE(), projector=Linear.for_link(LINK))
    groups = ["feature", "output", "output"]
    balancer = balancer or Fixed(groups, shares=[1.0, 0.5, 0.5], feature=10.0, output=1.0)
    return Distiller(
        student, terms=[term], outputs=[CrossEntropy(), SoftLabels(temperature=4.0)], balancer=balancer, **options
    )


def batch():
    torch.manual_seed(1)
    return Batch(torch.randn(5, 6), torch.tensor([0, 1, 2, 0, 1]))


def test_the_loss_is_the_weighted_sum_written_out_by_hand():
    student, teacher = networks()
    distiller = make(student)
    with Teacher(teacher, distiller.teacher_sites) as source:
        given = batch()
        out = distiller(given, source(given))
    # Written out with plain torch: 10 * MSE(W s + b, t) + 0.5 * CE + 0.5 * 16 * KL(teacher/4 || student/4).
    s, t = student[1](student[0](given.inputs)), teacher[1](teacher[0](given.inputs))
    projected = distiller.terms[0].projector.weight if hasattr(distiller.terms[0].projector, "weight") else None
    hint = (distiller.terms[0].projector(distiller.read_student(given).features["1"]).x.squeeze(1) - t).square().mean()
    logits, theirs = student[2](s), teacher[2](t)
    entropy = nn.functional.cross_entropy(logits, given.targets)
    soft = 16 * nn.functional.kl_div((logits / 4).log_softmax(-1), (theirs / 4).softmax(-1), reduction="batchmean")
    torch.testing.assert_close(out.loss, 10 * hint + 0.5 * entropy + 0.5 * soft)
    assert out.weights.tolist() == [10.0, 0.5, 0.5]
    assert projected is None or projected.requires_grad


def test_gradients_reach_student_and_projector_and_never_the_teacher():
    student, teacher = networks()
    distiller = make(student)
    with Teacher(teacher, distiller.teacher_sites) as source:
        distiller(batch(), source(batch())).loss.backward()
    assert all(each.grad is not None for each in distiller.parameters())
    assert all(each.grad is None for each in teacher.parameters())


def test_the_state_dict_holds_student_and_terms_but_no_teacher():
    student, _ = networks()
    names = set(make(student).state_dict())
    assert {name.split(".")[0] for name in names} <= {"student", "terms", "outputs", "balancer", "_extra_state"}


def test_a_schedule_turns_the_outputs_off_first():
    student, teacher = networks()
    distiller = make(student, schedule=FeaturesFirst(share=0.5), total_steps=4)
    with Teacher(teacher, distiller.teacher_sites) as source:
        captured = source(batch())
        first = distiller(batch(), captured).weights.tolist()
        for _ in range(2):
            distiller.step()
        second = distiller(batch(), captured).weights.tolist()
    assert first[1:] == [0.0, 0.0]
    assert first[0] == 10.0
    assert second[1:] == [0.5, 0.5]


def test_steps_done_survive_the_state_dict():
    distiller, other = make(networks()[0]), make(networks()[0])
    for _ in range(3):
        distiller.step()
    other.load_state_dict(distiller.state_dict())
    assert other.get_extra_state().item() == 3


def test_copying_and_pickling_keep_the_distiller_working():
    student, teacher = networks()
    distiller = make(student)
    with Teacher(teacher, distiller.teacher_sites) as source:
        given = batch()
        captured = source(given)
        expected = distiller(given, captured).loss
        for other in (copy.deepcopy(distiller), pickle.loads(pickle.dumps(distiller))):
            torch.testing.assert_close(other(given, captured).loss, expected)
            assert other.student is not student


def test_without_its_teacher_it_says_what_to_call():
    with pytest.raises(DataError, match=r"distiller\(batch, teacher\(batch\)\)"):
        make(networks()[0])(batch())


def test_a_balancer_of_other_groups_is_refused_with_the_right_call():
    with pytest.raises(DataError, match=r"Fixed\(\['feature', 'output', 'output'\]\)"):
        make(networks()[0], balancer=Fixed(["output"]))


def test_a_forgotten_step_is_said():
    student, teacher = networks()
    distiller = make(student, schedule=FeaturesFirst(), total_steps=10)
    with Teacher(teacher, distiller.teacher_sites) as source, warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        captured = source(batch())
        for _ in range(200):
            distiller(batch(), captured)
    assert [str(each.message) for each in caught if "distiller.step()" in str(each.message)]


def test_norms_at_the_tap_are_those_of_plain_autograd():
    student, teacher = networks()
    distiller = make(student, balancer=TapNorm(["feature", "output", "output"], shares=[1.0, 0.5, 0.5]))
    given = batch()
    with Teacher(teacher, distiller.teacher_sites) as source:
        captured = source(given)
        distiller(given, captured).loss.backward()
    assert distiller._last is not None
    norms = distiller._last[1]
    # The same gradients by hand, at a leaf put in the tap's place.
    tap = student[1](student[0](given.inputs)).detach().requires_grad_()
    logits = student[2](tap)
    soft = SoftLabels(temperature=4.0)
    theirs = captured.output
    from limbeck.context import Context

    outputs = 0.5 * CrossEntropy()(Context(targets=given.targets, student_output=logits)) + 0.5 * soft(
        Context(targets=given.targets, student_output=logits, teacher_output=theirs)
    )
    (pull,) = torch.autograd.grad(outputs, tap)
    torch.testing.assert_close(norms.output[0], pull.norm())
    assert torch.isfinite(norms.feature[0])
    assert torch.isnan(norms.feature[1:]).all()


def test_equal_force_after_the_first_measurement():
    student, teacher = networks()
    balancer = TapNorm(["feature", "output", "output"], shares=[1.0, 0.5, 0.5])
    distiller = make(student, balancer=balancer)
    given = batch()
    with Teacher(teacher, distiller.teacher_sites) as source:
        captured = source(given)
        distiller(given, captured)
        norms = distiller._last[1]
        distiller.step()
        weights = distiller(given, captured).weights
    # One tap, rho = 1: the weighed feature gradient is as long as the outputs' one.
    torch.testing.assert_close(weights[0] * norms.feature[0], norms.output[0])


def test_standardised_targets_must_be_fitted_first():
    _, teacher = networks()
    term = Term(LINK, loss=MSE(), projector=Linear.for_link(LINK), targets=[Standardise.for_link(LINK)])
    with Teacher(teacher, [LINK.teacher]) as source:
        feature = source(batch()).features["1"]
        term.fit([feature])
        target = term.target(feature)
    torch.testing.assert_close(target.x.mean((0, 1)), torch.zeros(8), atol=1e-5, rtol=0)


def test_a_nan_feature_is_named_before_training():
    _, teacher = networks()
    with torch.no_grad():
        teacher[0].weight[0, 0] = float("nan")
    term = Term(LINK, loss=MSE(), projector=Linear.for_link(LINK), targets=[Standardise.for_link(LINK)])
    with Teacher(teacher, [LINK.teacher]) as source, pytest.raises(DataError, match="NaN or infinite"):
        term.fit([source(batch()).features["1"]])
