import pytest
import torch
from torch import nn

from limbeck.context import Heads
from limbeck.errors import RecipeError, ShapeMismatch
from limbeck.features import Feature
from limbeck.links import FeatureSpec, Link
from limbeck.losses import NORM


def test_value_by_hand():
    loss = NORM(1, 1, expansion=2)
    with torch.no_grad():
        loss.expand.weight.copy_(torch.tensor([[1.0], [-1.0]]))
    student, teacher = Feature(torch.tensor([[[0.0]], [[6.0]]])), Feature(torch.tensor([[[1.0]], [[1.0]]]))
    # Batch norm turns 0 and 6 into -1 and 1, and its opposite into 1 and -1: errors 4 and 0, a mean of 2, twice.
    assert loss(student, teacher).item() == pytest.approx(4.0, rel=1e-4)


def test_value_by_convolution_and_batch_norm():
    loss = NORM(4, 3, expansion=5)
    nn.init.normal_(loss.scale)
    nn.init.normal_(loss.shift)
    student, teacher = torch.randn(6, 4, 2, 2), torch.randn(6, 3, 2, 2)
    norm = nn.BatchNorm2d(15)
    norm.weight.data, norm.bias.data = loss.scale.data, loss.shift.data
    expanded = norm(nn.functional.conv2d(student, loss.expand.weight[:, :, None, None]))
    expected = 5 * nn.functional.mse_loss(expanded, teacher.repeat(1, 5, 1, 1))  # the official code's form
    found = loss(*(Feature(each.flatten(2).transpose(1, 2), (2, 2)) for each in (student, teacher)))
    assert found.item() == pytest.approx(expected.item(), rel=1e-4)


def test_padding_is_left_out_of_the_batch_norm():
    loss = NORM(4, 3)
    student, teacher = torch.randn(5, 3, 4), torch.randn(5, 3, 3)
    padded = torch.cat([student, 100 * torch.randn(5, 2, 4)], 1), torch.cat([teacher, torch.randn(5, 2, 3)], 1)
    mask = (torch.arange(5) < 3).expand(5, -1)
    short = loss(Feature(student), Feature(teacher))
    long = loss(Feature(padded[0], mask=mask), Feature(padded[1], mask=mask))
    assert long.item() == pytest.approx(short.item(), rel=1e-4)


def test_a_linear_teacher_is_learnt():
    loss, matrix = NORM(4, 3, expansion=2), torch.randn(4, 3)
    optimizer = torch.optim.Adam(loss.parameters(), lr=0.05)
    student = Feature(torch.randn(64, 1, 4))
    teacher = Feature(student.x @ matrix + 2)
    for _ in range(400):
        optimizer.zero_grad()
        value = loss(student, teacher)
        value.backward()
        optimizer.step()
    assert value.item() < 0.01


def test_sizes_come_from_the_link():
    link = Link(FeatureSpec("a", "BC", 8), FeatureSpec("b", "BC", 16))
    assert repr(NORM.for_link(link, Heads(), expansion=4)) == "NORM(8, 16, expansion=4)"


def test_other_channels_are_refused():
    with pytest.raises(ShapeMismatch, match="NORM was built for 4 channels of the student. Found 5"):
        NORM(4, 3)(Feature(torch.ones(2, 1, 5)), Feature(torch.ones(2, 1, 3)))


def test_no_expansion_is_refused():
    with pytest.raises(RecipeError, match="expansion of at least 1"):
        NORM(4, 3, expansion=0)
