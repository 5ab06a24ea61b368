import copy
import pickle

import pytest
import torch
from torch import nn

from limbeck.distiller import Lifted, Term, fold_head
from limbeck.errors import ModelError, PlanMismatch
from limbeck.export import export
from limbeck.features import Feature
from limbeck.links import FeatureSpec, Link
from limbeck.losses import MSE
from limbeck.projectors import MLP, ConvBottleneck, Linear, LinearBatchNorm
from limbeck.targets import PoolVector, Standardise

MAP = FeatureSpec("1", "BCHW", 6, 64, (8, 8))
TEACHER_MAP = FeatureSpec("layer4", "BCHW", 12, 64, (8, 8))
INPUT = FeatureSpec("4:input", "BC", 6, role="head")
TEACHER_INPUT = FeatureSpec("fc:input", "BC", 12, role="head")


def network() -> nn.Module:
    layers = nn.Conv2d(1, 6, 3, padding=1), nn.BatchNorm2d(6), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(6, 3)
    return nn.Sequential(*layers).eval()


def test_simkd_keeps_its_convolutions_and_reads_their_mean_by_the_teachers_head():
    student, head, link = network(), nn.Linear(12, 5), Link(MAP, TEACHER_MAP)
    term = Term(link, loss=MSE(), projector=ConvBottleneck.for_link(link)).eval()
    x = torch.randn(4, 1, 8, 8)
    hidden = student[1](student[0](x))
    projected = term.projector(Feature(hidden.flatten(2).transpose(1, 2), (8, 8)))
    lifted = Lifted(student, term, head).eval()
    torch.testing.assert_close(lifted(x), head(projected.x.mean(1)), rtol=1e-4, atol=1e-5)


def test_it_answers_as_the_folded_student_where_that_is_possible():
    student, head, link = network(), nn.Linear(12, 5), Link(INPUT, TEACHER_INPUT)
    target = Standardise(12)
    target.fit([Feature(3 + 2 * torch.randn(50, 1, 12))])
    term = Term(link, loss=MSE(), projector=Linear.for_link(link), targets=[target])
    x = torch.randn(4, 1, 8, 8)
    folded = fold_head(student, term, head, head="4")
    torch.testing.assert_close(Lifted(student, term, head).eval()(x), folded(x), rtol=1e-4, atol=1e-5)


def test_targets_that_pool_are_no_hindrance():
    student, head, link = network(), nn.Linear(12, 5), Link(MAP, TEACHER_MAP)
    vector = Link(MAP, PoolVector().describe(TEACHER_MAP))
    term = Term(link, loss=MSE(), projector=MLP.for_link(vector), targets=[PoolVector()]).eval()
    assert Lifted(student, term, head).eval()(torch.randn(4, 1, 8, 8)).shape == (4, 5)


def test_copies_and_pickles_answer_alike_and_the_student_is_left_as_it_was():
    student, link = network(), Link(MAP, TEACHER_MAP)
    before = copy.deepcopy(student.state_dict())
    term = Term(link, loss=MSE(), projector=ConvBottleneck.for_link(link))
    lifted = Lifted(student, term, nn.Linear(12, 5)).eval()
    x = torch.randn(4, 1, 8, 8)
    expected = lifted(x)
    for other in (copy.deepcopy(lifted), pickle.loads(pickle.dumps(lifted))):
        torch.testing.assert_close(other(x), expected)
    assert all(torch.equal(value, student.state_dict()[name]) for name, value in before.items())
    assert not student[1]._forward_hooks


@pytest.mark.compiled
@pytest.mark.parametrize("to", ["torch", "onnx"])
def test_it_is_exported_as_any_model(tmp_path, to):
    link = Link(MAP, TEACHER_MAP)
    lifted = Lifted(network(), Term(link, loss=MSE(), projector=ConvBottleneck.for_link(link)), nn.Linear(12, 5)).eval()
    exported = export(lifted, torch.randn(4, 1, 8, 8), tmp_path, to=to)
    assert exported.max_difference < 1e-4


def test_inputs_are_named_or_not():
    lifted = Lifted(network(), Term(Link(INPUT, TEACHER_INPUT), loss=MSE(), projector=Linear(6, 12)), nn.Linear(12, 5))
    x = torch.randn(2, 1, 8, 8)
    torch.testing.assert_close(lifted.eval()(input=x), lifted(x))
    with pytest.raises(ModelError, match="by place or by name"):
        lifted(x, input=x)


def test_a_projector_that_reads_the_whole_batch_is_refused():
    term = Term(Link(INPUT, TEACHER_INPUT), loss=MSE(), projector=LinearBatchNorm(6, 12))
    with pytest.raises(PlanMismatch, match="for each sample by itself"):
        Lifted(network(), term, nn.Linear(12, 5))


def test_the_head_of_another_teacher_is_refused():
    with pytest.raises(PlanMismatch, match="must read what the term ends at"):
        Lifted(network(), Term(Link(INPUT, TEACHER_INPUT), loss=MSE(), projector=Linear(6, 12)), nn.Linear(9, 5))
