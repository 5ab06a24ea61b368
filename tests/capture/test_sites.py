"""Sites, layouts and heads of real architectures, against what the architectures' own configurations say."""

from __future__ import annotations

import pytest
import timm
import torch

from limbeck.batch import Batch
from limbeck.capture import Capture, probe
from tests.capture.hugging_face_architectures import HUGGING_FACE
from tests.capture.own_architectures import OWN
from tests.capture.timm_architectures import TIMM
from tests.capture.torchvision_architectures import TORCHVISION

ARCHITECTURES = [*TIMM, *TORCHVISION, *HUGGING_FACE, *OWN]


@pytest.fixture(scope="module", params=ARCHITECTURES, ids=lambda row: row.name)
def case(request):
    torch.manual_seed(0)
    model = request.param.build()
    batch = request.param.batch()
    return model, batch, request.param.expected(model), probe(model, batch)


def test_stages_end_where_the_architecture_says(case):
    *_, expected, anatomy = case
    ends = [spec for spec in anatomy.trunk if spec.role == "stage"]
    found = [(spec.channels, spec.grid, spec.axes, spec.prefix) for spec in ends]
    assert found == [stage[:4] for stage in expected.stages]
    for spec, stage in zip(ends, expected.stages, strict=True):
        assert spec.site == stage.module or spec.site.startswith((stage.module, f"{stage.module}."))


def test_every_block_is_a_site(case):
    *_, expected, anatomy = case
    assert len(anatomy.trunk) == expected.blocks


def test_the_head_and_what_it_reads_are_found(case):
    *_, expected, anatomy = case
    last = anatomy.specs[-1]
    assert anatomy.head == expected.head
    assert (last.role, last.axes, last.channels) == ("head", expected.head_axes, expected.head_channels)
    assert expected.head is None or last.site == f"{expected.head}:input"


def test_the_position_that_the_head_reads_is_found(case):
    *_, expected, anatomy = case
    assert {spec.summary for spec in anatomy.trunk} == {expected.summary}


def test_only_padded_inputs_make_positions_variable(case):
    *_, expected, anatomy = case
    assert {spec.variable for spec in anatomy.trunk} == {expected.variable}


def test_depth_and_cost_grow_in_order_of_execution(case):
    *_, anatomy = case
    depths = [spec.depth for spec in anatomy.specs]
    costs = [anatomy.costs[spec.site] for spec in anatomy.specs]
    assert depths == sorted(depths)
    assert costs == sorted(costs)
    assert depths[0] > 0
    assert depths[-1] == 1
    assert 0 < costs[0] <= costs[-1] <= 1


def test_what_is_described_is_what_is_captured(case):
    model, batch, _, anatomy = case
    model.eval()
    with torch.no_grad(), Capture(model, anatomy.specs) as capture:
        captured = capture(batch.inputs, batch.mask)
    for spec in anatomy.specs:
        feature = captured.features[spec.site]
        assert feature.x.shape == (batch.size, spec.positions, spec.channels)
        assert (feature.grid, feature.prefix) == (spec.grid, spec.prefix)
        assert (feature.mask is not None) == spec.variable


def test_hrnet_falls_back_to_branches_and_says_so():
    model = timm.create_model("hrnet_w18_small", pretrained=False, num_classes=10)
    anatomy = probe(model, Batch(torch.randn(2, 3, 64, 64)))
    sites = {spec.site: spec for spec in anatomy.trunk}
    # The paper's widths for W18-small: 16, 32, 64, 128 at a quarter, an eighth, ... of the image.
    for branch, (channels, side) in enumerate([(16, 16), (32, 8), (64, 4), (128, 2)]):
        spec = sites[f"stage4.0[{branch}]"]
        assert (spec.channels, spec.grid) == (channels, (side, side))
    # What timm's feature_info gives as the ends of its stages.
    assert [sites[f"incre_modules.{i}.0"].channels for i in range(4)] == [
        each["num_chs"] for each in model.feature_info[1:]
    ]
    assert anatomy.head == model.default_cfg["classifier"]
    assert "repeated blocks" in anatomy.method
    assert any("side by side" in note for note in anatomy.notes)
    assert any("No cut point" in note for note in anatomy.notes)
