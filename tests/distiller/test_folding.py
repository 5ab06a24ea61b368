import copy

import pytest
import torch
from torch import nn

from limbeck.batch import Batch
from limbeck.capture.capture import Capture
from limbeck.capture.probe import probe
from limbeck.distiller import Term
from limbeck.distiller.folding import fold_head
from limbeck.errors import PlanMismatch
from limbeck.features import Feature
from limbeck.links import FeatureSpec, Link
from limbeck.losses import MSE
from limbeck.projectors import MLP, Linear, LinearBatchNorm, Orthogonal
from limbeck.targets import PCA, PHIS, LayerNorm, Standardise

LINK = Link(FeatureSpec("1:input", "BC", 6, role="head"), FeatureSpec("fc:input", "BC", 12, role="head"))


def spread(batch: int = 40) -> Feature:
    return Feature(3 + torch.randn(batch, 1, 12) @ torch.randn(12, 12))


def fitted(target):
    target.fit([spread()])
    return target


def pair() -> tuple[nn.Module, nn.Linear]:
    return nn.Sequential(nn.Linear(4, 6), nn.Linear(6, 3)), nn.Linear(12, 5)


@pytest.mark.parametrize("bias", [True, False])
def test_without_targets_it_is_the_head_behind_the_projector(bias):
    student, head = pair()
    head = nn.Linear(12, 5, bias=bias)
    term = Term(LINK, loss=MSE(), projector=Linear.for_link(LINK))
    nn.init.normal_(term.projector.map.bias)
    x = torch.randn(7, 4)
    expected = head(term.projector.map(student[0](x)))
    assert torch.allclose(fold_head(student, term, head, head="1")(x), expected, atol=1e-5)


def test_a_standardised_target_is_undone():
    student, head = pair()
    target = fitted(Standardise(12))
    term = Term(LINK, loss=MSE(), projector=Linear.for_link(LINK), targets=[target])
    x = torch.randn(7, 4)
    expected = head(term.projector.map(student[0](x)) * target.deviation + target.mean)
    assert torch.allclose(fold_head(student, term, head, head="1")(x), expected, atol=1e-4)


@pytest.mark.parametrize("make", [PHIS.for_link, lambda link: PCA.for_link(link, components=12)])
def test_other_targets_that_lose_nothing_are_undone(make):
    teacher, (_, head) = spread(), pair()
    target = make(LINK)
    target.fit([teacher])
    # A student whose feature is the target exactly must answer as the teacher does.
    link = Link(FeatureSpec("0:input", "BC", 12, role="head"), LINK.teacher)
    term = Term(link, loss=MSE(), targets=[target])
    folded = fold_head(nn.Sequential(nn.Linear(12, 3)), term, head, head="0")
    answer = folded(target(teacher).x.squeeze(1))
    assert torch.allclose(answer, head(teacher.x.squeeze(1)), atol=1e-3)


def test_a_projector_with_a_constrained_matrix_folds_too():
    student, head = pair()
    term = Term(LINK, loss=MSE(), projector=Orthogonal.for_link(LINK))
    x = torch.randn(7, 4)
    expected = head(term.projector(Feature(student[0](x).unsqueeze(1))).x.squeeze(1))
    assert torch.allclose(fold_head(student, term, head, head="1")(x), expected, atol=1e-5)


@pytest.mark.slow
def test_a_trained_student_of_torchvision_answers_through_the_teachers_head():
    models = pytest.importorskip("torchvision.models")
    student, teacher = models.resnet18(num_classes=7).eval(), models.mobilenet_v3_small(num_classes=7).eval()
    images = torch.randn(4, 3, 64, 64)
    specs = [probe(model, Batch(images)).head_input for model in (student, teacher)]
    link = Link(*specs)
    head = teacher.classifier[-1]
    with Capture(student, [specs[0]]) as read, Capture(teacher, [specs[1]]) as taught, torch.no_grad():
        mine, theirs = read(images).features[specs[0].site], taught(images).features[specs[1].site]
        target = Standardise.for_link(link)
        target.fit([theirs])
        term = Term(link, loss=MSE(), projector=Linear.for_link(link), targets=[target])
        expected = head(term.projector(mine).pooled() * target.deviation + target.mean)
    before = copy.deepcopy(student.state_dict())
    folded = fold_head(student, term, head, head="fc")
    with torch.no_grad():
        assert torch.allclose(folded(images), expected, atol=1e-4)
    assert all(torch.equal(each, before[name]) for name, each in student.state_dict().items())
    assert sum(each.numel() for each in folded.parameters()) == sum(each.numel() for each in student.parameters())


@pytest.mark.parametrize("kind", [MLP, LinearBatchNorm])
def test_a_projector_that_is_not_affine_is_refused(kind):
    student, head = pair()
    # A batch norm by the batch's own statistics answers otherwise in other company.
    with pytest.raises(PlanMismatch, match=f"Found projector {kind.__name__}"):
        fold_head(student, Term(LINK, loss=MSE(), projector=kind.for_link(LINK)), head, head="1")


def test_a_target_that_bends_is_refused():
    student, head = pair()
    term = Term(LINK, loss=MSE(), projector=Linear.for_link(LINK), targets=[LayerNorm.for_link(LINK)])
    with pytest.raises(PlanMismatch, match="target LayerNorm"):
        fold_head(student, term, head, head="1")


def test_a_target_that_forgets_dimensions_is_refused():
    student, head = pair()
    target = fitted(PCA.for_link(LINK, components=5))
    aimed = Link(LINK.student, target.describe(LINK.teacher))
    term = Term(LINK, loss=MSE(), projector=Linear.for_link(aimed), targets=[target])
    with pytest.raises(PlanMismatch, match="keeps 5 of 12"):
        fold_head(student, term, head, head="1")


def test_a_term_elsewhere_is_refused():
    student, head = pair()
    link = Link(FeatureSpec("0", "BC", 6), LINK.teacher)
    with pytest.raises(PlanMismatch, match="HeadInput"):
        fold_head(student, Term(link, loss=MSE(), projector=Linear.for_link(link)), head, head="1")


def test_heads_of_other_models_are_refused():
    student, _ = pair()
    with pytest.raises(PlanMismatch, match="6 and 9"):
        fold_head(student, Term(LINK, loss=MSE(), projector=Linear.for_link(LINK)), nn.Linear(9, 5), head="1")


def test_a_head_that_is_not_linear_is_refused():
    student, head = pair()
    with pytest.raises(PlanMismatch, match="Found NoneType"):
        fold_head(student, Term(LINK, loss=MSE(), projector=Linear.for_link(LINK)), head, head="fc")
