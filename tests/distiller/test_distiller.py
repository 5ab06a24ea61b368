"""The distiller joins student, terms and balancer."""

import copy
import pickle
import warnings

import pytest
import torch
from torch import nn

from limbeck.balancers import Fixed, TapNorm
from limbeck.batch import Batch, KnownLogits
from limbeck.capture import Captured
from limbeck.context import Context
from limbeck.distiller import Distiller, Term
from limbeck.distiller.tap_norms import measure
from limbeck.errors import DataError, ModelError, SiteError
from limbeck.links import FeatureSpec, Link
from limbeck.losses import CKA, MSE
from limbeck.outputs import DIST, CrossEntropy, SoftLabels, TopKSoftLabels
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
    linear = distiller.terms[0].projector.map
    hint = (s @ linear.weight.T + linear.bias - t).square().mean()
    logits, theirs = student[2](s), teacher[2](t)
    entropy = nn.functional.cross_entropy(logits, given.targets)
    soft = 16 * nn.functional.kl_div((logits / 4).log_softmax(-1), (theirs / 4).softmax(-1), reduction="batchmean")
    torch.testing.assert_close(out.loss, 10 * hint + 0.5 * entropy + 0.5 * soft)
    assert out.weights.tolist() == [10.0, 0.5, 0.5]


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


def test_the_smallest_batch_is_that_of_the_loss_that_needs_most():
    student, _ = networks()
    outputs = [CrossEntropy(), DIST()]
    distiller = Distiller(student, outputs=outputs, balancer=Fixed(["output", "output"], output=1.0))
    assert distiller.minimum_batch == 2


def test_teacher_answers_of_which_a_cache_kept_a_part_reach_the_loss_that_reads_them():
    student, teacher = networks()
    loss, given = TopKSoftLabels(k=2), batch()
    distiller = Distiller(student, outputs=[loss], balancer=Fixed(["output"], output=1.0))
    answers = teacher(given.inputs).detach()
    found = distiller(given, Captured(KnownLogits(loss.keep(answers)), {}, {})).loss
    torch.testing.assert_close(found, distiller(given, Captured(answers, {}, {})).loss)


def test_a_forgotten_step_is_said():
    student, teacher = networks()
    distiller = make(student, schedule=FeaturesFirst(), total_steps=10)
    with Teacher(teacher, distiller.teacher_sites) as source, warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        captured = source(batch())
        for _ in range(200):
            distiller(batch(), captured)
    assert [str(each.message) for each in caught if "distiller.step()" in str(each.message)]


def measured(distiller, given, captured):
    distiller(given, captured)
    return distiller._last[1]


def test_norms_at_the_tap_are_those_of_plain_autograd():
    student, teacher = networks()
    distiller = make(student, balancer=TapNorm(["feature", "output", "output"], shares=[1.0, 0.5, 0.5]))
    given = batch()
    with Teacher(teacher, distiller.teacher_sites) as source:
        captured = source(given)
        norms = measured(distiller, given, captured)
    # The same gradients by hand, at a leaf put in the tap's place.
    tap = student[1](student[0](given.inputs)).detach().requires_grad_()
    context = Context(targets=given.targets, student_output=student[2](tap), teacher_output=captured.output)
    outputs = 0.5 * CrossEntropy()(context) + 0.5 * SoftLabels(temperature=4.0)(context)
    (pull,) = torch.autograd.grad(outputs, tap)
    linear = distiller.terms[0].projector.map
    missed = tap @ linear.weight.T + linear.bias - captured.raw["1"]
    own = 2 / missed.numel() * missed @ linear.weight  # the derivative of the mean square
    nan = torch.full((2,), torch.nan)
    cosine = (own * pull).sum() / (own.norm() * pull.norm())
    for found, expected in zip(norms, (own.norm(), pull.norm(), cosine), strict=True):
        torch.testing.assert_close(found, torch.cat([expected.reshape(1), nan]), equal_nan=True)


@pytest.mark.parametrize("site", [nn.ReLU(inplace=True), nn.Sequential(nn.Unflatten(1, (2, 2)), nn.Flatten())])
def test_a_tap_that_is_overwritten_is_measured_as_one_that_is_not(site):
    found = []
    for activation in (nn.ReLU(inplace=True), nn.ReLU()):
        torch.manual_seed(0)
        student = nn.Sequential(nn.Linear(6, 4), copy.deepcopy(site), activation, nn.Linear(4, 3))
        distiller = make(student, balancer=TapNorm(["feature", "output", "output"]))
        with Teacher(networks()[1], distiller.teacher_sites) as source:
            found.append(torch.stack([*measured(distiller, batch(), source(batch()))])[:, 0])
    assert torch.isfinite(found[0]).all()
    torch.testing.assert_close(*found)


def test_a_term_on_frozen_layers_is_said_and_leaves_the_other_terms_measured():
    student, teacher = networks()
    student[0].requires_grad_(False)
    student = nn.Sequential(*student[:2], nn.Linear(4, 4), *student[2:])
    links = [LINK, Link(FeatureSpec("2", "BC", 4), FeatureSpec("1", "BC", 8))]
    terms = [Term(link, loss=MSE(), projector=Linear.for_link(link)) for link in links]
    balancer = TapNorm(["feature", "feature", "output"])
    distiller = Distiller(student, terms=terms, outputs=[CrossEntropy()], balancer=balancer)
    with Teacher(teacher, distiller.teacher_sites) as source, pytest.warns(UserWarning, match=r"\['1'\].*frozen"):
        norms = measured(distiller, batch(), source(batch()))
    assert torch.isfinite(norms.feature).tolist() == [False, True, False]
    distiller.step()
    assert balancer.count.tolist() == [0, 1, 0]


def test_gradients_too_small_for_half_precision_are_measured():
    tap = torch.ones(4, dtype=torch.float16, requires_grad=True)
    small = 2.0**-26  # below the smallest number of float16, 2 ** -24
    losses = [tap.float().sum() * small, tap.float().sum() * small * 2]
    norms = measure(losses, taps_of(fc=tap), ["fc"], torch.ones(2))
    assert [each[0].item() for each in norms] == [2 * small, 4 * small, 1.0]  # four alike: twice one of them


def taps_of(**sites):
    graph = {name: torch.autograd.graph.get_gradient_edge(each) for name, each in sites.items() if each.requires_grad}
    return Captured(None, {}, sites, graph)


def test_a_term_that_did_not_read_its_site_is_not_measured_this_time():
    # As where an association draws links: the term is a number of other sites, or of none that needs gradients.
    read, left = torch.ones(2, requires_grad=True), torch.ones(2, requires_grad=True)
    output = (read + left).sum()
    for losses in ([read.sum(), read.sum(), output], [read.sum(), torch.ones(()), output]):
        norms = measure(losses, taps_of(read=read, left=left), ["read", "left"], torch.ones(3))
        assert torch.isfinite(norms.feature).tolist() == [True, False, False]
        assert torch.isfinite(norms.output).tolist() == [True, False, False]


@pytest.mark.parametrize("head_learns", [True, False])
def test_where_all_sites_are_frozen_nothing_is_measured(head_learns):
    output = torch.ones((), requires_grad=head_learns)
    with pytest.warns(UserWarning, match="frozen"):
        norms = measure([torch.ones(()), output], taps_of(fc=torch.ones(2)), ["fc"], torch.ones(2))
    assert all(each.isnan().all() for each in norms)


class TwoAnswers(nn.Module):
    """Its answer does not come of all that it computes."""

    def __init__(self) -> None:
        super().__init__()
        self.used, self.unused, self.head = nn.Linear(6, 4), nn.Linear(6, 4), nn.Linear(4, 3)

    def forward(self, x):
        self.unused(x)
        return self.head(self.used(x))


def test_a_site_that_the_outputs_do_not_depend_on_is_refused_with_what_to_do():
    link = Link(FeatureSpec("unused", "BC", 4), FeatureSpec("1", "BC", 8))
    term = Term(link, loss=MSE(), projector=Linear.for_link(link))
    distiller = Distiller(TwoAnswers(), terms=[term], outputs=[CrossEntropy()], balancer=TapNorm(["feature", "output"]))
    with (
        Teacher(networks()[1], distiller.teacher_sites) as source,
        pytest.raises(SiteError, match=r"output losses to the student's 'unused'.*Fixed"),
    ):
        distiller(batch(), source(batch()))


@pytest.mark.compiled
def test_a_compiled_student_is_refused_with_what_to_do():
    student, teacher = networks()
    compiled = torch.compile(student, backend="eager")
    distiller = make(compiled, balancer=TapNorm(["feature", "output", "output"]))
    with (
        Teacher(teacher, distiller.teacher_sites) as source,
        pytest.raises(ModelError, match=r"before torch\.compile"),
    ):
        distiller(batch(), source(batch()))
    torch._dynamo.reset()


def test_losses_that_share_their_sites_or_their_class_keep_apart_in_name():
    student, _ = networks()
    terms = [Term(LINK, loss=loss, projector=Linear.for_link(LINK)) for loss in (MSE(), CKA(), MSE())]
    outputs = [CrossEntropy(), SoftLabels(temperature=2.0), SoftLabels(temperature=4.0)]
    balancer = Fixed(["feature"] * 3 + ["output"] * 3)
    assert Distiller(student, terms=terms, outputs=outputs, balancer=balancer).names == (
        "1 <- 1: MSE()",
        "1 <- 1: CKA()",
        "1 <- 1: MSE() #2",
        "CrossEntropy",
        "SoftLabels(temperature=2.0)",
        "SoftLabels(temperature=4.0)",
    )


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
