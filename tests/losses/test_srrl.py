import pytest
import torch
from torch import nn

from limbeck.context import Heads
from limbeck.errors import PlanMismatch, RecipeError, TeacherError
from limbeck.features import Feature
from limbeck.links import FeatureSpec, Link
from limbeck.losses import MSE, SRRL

LINK = Link(FeatureSpec("a", "BC", 4), FeatureSpec("b", "BC", 4))


def built(**options) -> tuple[SRRL, nn.Linear]:
    head = nn.Linear(4, 3)
    return SRRL.for_link(LINK, Heads(None, head), **options), head


def test_value_by_hand():
    loss = SRRL(2, 1)
    head = nn.Linear(2, 1)
    nn.init.ones_(head.weight)
    loss.head.copy(head)
    student, teacher = Feature(torch.tensor([[[1.0, 2.0]]])), Feature(torch.tensor([[[4.0, 0.0]]]))
    assert loss(student, teacher).item() == pytest.approx(6.5 + 1)  # the MSE, and (3 - 4) squared


def test_value_by_the_teachers_own_head():
    loss, head = built()
    student, teacher = torch.randn(5, 6, 4), torch.randn(5, 6, 4)
    logits = head(student.mean(1)), head(teacher.mean(1))
    expected = nn.functional.mse_loss(student, teacher) + nn.functional.mse_loss(*logits)
    assert loss(Feature(student, (6,)), Feature(teacher, (6,))).item() == pytest.approx(expected.item(), rel=1e-5)


def test_without_logits_it_is_the_mean_squared_error():
    loss, _ = built(logits=0.0)
    student, teacher = Feature(torch.randn(5, 6, 4)), Feature(torch.randn(5, 6, 4))
    assert loss(student, teacher).item() == pytest.approx(MSE()(student, teacher).item(), rel=1e-6)


def test_without_feature_only_what_the_head_sees_counts():
    loss, head = built(feature=0.0)
    teacher = torch.randn(5, 1, 4)
    unseen = torch.linalg.svd(head.weight)[2][3]  # the direction that 3 rows of 4 numbers do not reach
    assert loss(Feature(teacher + 5 * unseen), Feature(teacher)).item() == pytest.approx(0.0, abs=1e-9)


def test_the_head_reads_the_class_token_of_a_transformer():
    loss, head = built(feature=0.0)
    student, teacher = (Feature(torch.randn(2, 5, 4), (2, 2), prefix=1, summary=0) for _ in range(2))
    expected = nn.functional.mse_loss(head(student.x[:, 0]), head(teacher.x[:, 0]))
    assert loss(student, teacher).item() == pytest.approx(expected.item(), rel=1e-5)


def test_the_head_is_frozen_and_is_not_the_teachers_own_tensor():
    loss, head = built()
    assert not list(loss.parameters())
    before = loss.head.weight.clone()
    nn.init.zeros_(head.weight)
    assert torch.equal(loss.head.weight, before)


def test_a_teacher_without_a_head_is_refused():
    with pytest.raises(PlanMismatch, match="the teacher's last linear layer"):
        SRRL.for_link(LINK, Heads())


def test_a_loss_without_its_head_is_refused_until_it_is_loaded():
    loss, again = built()[0], SRRL(4, 3)
    feature = Feature(torch.randn(2, 1, 4))
    with pytest.raises(TeacherError, match="for_link"):
        again(feature, feature)
    again.load_state_dict(loss.state_dict())
    assert again(feature, feature).item() == 0.0


def test_weights_of_zero_are_refused():
    with pytest.raises(RecipeError, match="one of them above"):
        SRRL(4, 3, feature=0.0, logits=0.0)
