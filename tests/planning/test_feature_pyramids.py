import pytest
import torch
from torch.utils.data import DataLoader

import limbeck

pytest.importorskip("torchvision")

RECIPE = {"mapping": {"kind": "SameGrid"}, "features": [{"loss": {"kind": "MSE"}}], "outputs": []}


def backbone():
    from torchvision.models.detection.backbone_utils import resnet_fpn_backbone

    return resnet_fpn_backbone(backbone_name="resnet18", weights=None, trainable_layers=5)


@pytest.mark.parametrize(("levels", "expected"), [((0, 1, 2, 3), {0, 1, 2, 3}), ((1, 2, 3), {1, 2, 3})])
def test_levels_of_a_pyramid_are_linked_by_their_resolution(levels, expected):
    sites = {
        "teacher": [f"fpn.layer_blocks.{level}" for level in range(4)],
        "student": [f"fpn.layer_blocks.{level}" for level in levels],
    }
    loader = DataLoader(torch.randn(4, 3, 64, 64), batch_size=2)
    plan = limbeck.plan(backbone(), backbone(), loader, recipe=RECIPE, sites=sites)
    assert {int(term.student[-1]) for term in plan.terms} == expected
    for term in plan.terms:
        assert term.student == term.teacher
        # 64 pixels, and a level's stride is 4, 8, 16 or 32.
        side = 16 >> int(term.student[-1])
        assert plan.spec("student", term.student).grid == plan.spec("teacher", term.teacher).grid == (side, side)
