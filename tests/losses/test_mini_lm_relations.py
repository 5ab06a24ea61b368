import math

import numpy as np
import pytest
import timm
import torch
from torch.utils.data import DataLoader, TensorDataset

import limbeck
from limbeck.errors import RecipeError, ShapeMismatch
from limbeck.features import Feature
from limbeck.losses import MiniLMRelations


def softmax(rows):
    rows = np.exp(rows - rows.max(-1, keepdims=True))
    return rows / rows.sum(-1, keepdims=True)


def relation(tokens, heads, head):
    width = tokens.shape[1] // heads
    part = tokens[:, head * width : (head + 1) * width]
    return part @ part.T / math.sqrt(width)


def by_loops(student, teacher, heads, causal=False):
    total = 0.0
    for s, t in zip(student.cpu().numpy(), teacher.cpu().numpy(), strict=True):
        for head in range(heads):
            for n in range(len(s)):
                keys = slice(0, n + 1) if causal else slice(None)
                mine, theirs = (softmax(relation(each, heads, head)[n, keys]) for each in (s, t))
                total += (theirs * np.log(theirs / mine)).sum()
    return total / (student.shape[0] * student.shape[1] * heads)  # the formula of the paper


def test_value_by_hand():
    student = Feature(torch.tensor([[[1.0], [0.0]]]))
    teacher = Feature(torch.tensor([[[0.0], [0.0]]]))
    # First row: 1/2, 1/2 against e, 1 over e + 1; second row equal.
    row = 0.5 * math.log(0.5 * (math.e + 1) / math.e) + 0.5 * math.log(0.5 * (math.e + 1))
    assert MiniLMRelations(heads=1)(student, teacher).item() == pytest.approx(row / 2, rel=1e-4)


@pytest.mark.parametrize("causal", [False, True])
@pytest.mark.parametrize("heads", [1, 2, 4])
def test_value_by_loops(heads, causal):
    student, teacher = torch.randn(3, 5, 8), torch.randn(3, 5, 12)
    found = MiniLMRelations(heads=heads, causal=causal)(Feature(student), Feature(teacher))
    assert found.item() == pytest.approx(by_loops(student, teacher, heads, causal), rel=1e-4)


def test_fused_site_gives_the_sum_over_queries_keys_and_values():
    student, teacher = torch.randn(2, 5, 3, 8), torch.randn(2, 5, 3, 4)
    found = MiniLMRelations(heads=2, parts=3)(Feature(student.flatten(2)), Feature(teacher.flatten(2)))
    expected = sum(by_loops(student[:, :, part], teacher[:, :, part], 2) for part in range(3))
    assert found.item() == pytest.approx(expected, rel=1e-4)


def test_padding_changes_nothing():
    student, teacher = torch.randn(2, 4, 4), torch.randn(2, 4, 6)
    mask = torch.tensor([[True] * 4 + [False] * 3] * 2)
    padded = [Feature(torch.cat([x, torch.randn(2, 3, x.shape[2])], 1), mask=mask) for x in (student, teacher)]
    found = MiniLMRelations(heads=2)(*padded)
    assert found.item() == pytest.approx(by_loops(student, teacher, 2), rel=1e-4)


def test_heads_that_do_not_divide_the_channels_are_refused_with_a_number_that_does():
    with pytest.raises(ShapeMismatch, match="48 groups.*student 312, teacher 768.*24 groups would fit"):
        MiniLMRelations()(Feature(torch.randn(1, 3, 312)), Feature(torch.randn(1, 3, 768)))


def test_single_token_is_refused_instead_of_giving_zero():
    with pytest.raises(ShapeMismatch, match="at least 2 positions"):
        MiniLMRelations(heads=1)(Feature(torch.randn(2, 1, 3)), Feature(torch.randn(2, 1, 3)))


def test_no_heads_are_refused():
    with pytest.raises(RecipeError, match="at least 1 head"):
        MiniLMRelations(heads=0)


def test_fused_projections_of_two_vision_transformers_are_linked_as_they_are():
    sizes = {"img_size": 32, "patch_size": 8, "num_classes": 4, "num_heads": 3}
    teacher, student = (timm.models.VisionTransformer(embed_dim=width, depth=2, **sizes) for width in (96, 48))
    data = DataLoader(TensorDataset(torch.randn(8, 3, 32, 32), torch.randint(0, 4, (8,))), batch_size=8)
    site = "blocks.1.attn.qkv"
    report = limbeck.distill(
        teacher,
        student,
        data,
        sites={"student": [site], "teacher": [site]},
        recipe={"features": [{"loss": {"kind": "MiniLMRelations", "heads": 12, "parts": 3}}]},
        steps=2,
        lr=0.01,
        check_teacher=False,
        progress=False,
    )
    assert report.history.rows[-1]["terms"][f"{site} <- {site}"] > 0
    assert report.plan.terms[0].projector is None
