"""The same tensors give the number that torchdistill gives; where formulas differ, by what they do."""

import inspect
import re
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
from torch import nn
from torchdistill.losses import mid_level

import limbeck.losses
import limbeck.outputs
from limbeck.context import Context
from limbeck.features import Feature

BATCH, CHANNELS, SIDE = 6, 5, 6
TABLE = Path(__file__).parents[2] / "docs" / "reference" / "parity.md"
OUTPUT = {"io": "output", "path": "site"}
PAIRS = {"pair": {"student": OUTPUT, "teacher": OUTPUT, "weight": 1}}


def maps() -> torch.Tensor:
    return torch.randn(BATCH, CHANNELS, SIDE, SIDE)


def vectors(channels: int = CHANNELS) -> torch.Tensor:
    return torch.randn(BATCH, channels)


def feature(raw: torch.Tensor) -> Feature:
    return Feature(raw.flatten(2).transpose(1, 2), tuple(raw.shape[2:])) if raw.ndim > 2 else Feature(raw.unsqueeze(1))


def theirs(loss: nn.Module, student, teacher) -> float:
    return loss({"site": {"output": student}}, {"site": {"output": teacher}}, targets=None).item()


def ours(loss: nn.Module, student: torch.Tensor, teacher: torch.Tensor) -> float:
    return loss(feature(student), feature(teacher)).item()


def low_level(loss: nn.Module) -> nn.Module:
    input_, target = ({"is_from_teacher": side, "module_path": "site", "io": "output"} for side in (False, True))
    return mid_level.SimpleLossWrapper(loss, input=input_, target=target)


def activation_boundaries():
    s, t = maps(), maps()
    loss = limbeck.losses.ActivationBoundaries()
    return ours(loss, s, t), theirs(mid_level.AltActTransferLoss(PAIRS, margin=1.0, reduction="mean"), s, t)


def attention_transfer():
    s, t = maps(), maps()
    return ours(limbeck.losses.AttentionTransfer(), s, t), theirs(mid_level.ATLoss(PAIRS, mode="code"), s, t)


def correlation_congruence():
    s, t = F.normalize(vectors(), dim=1), F.normalize(vectors(7), dim=1)
    kernel = {"type": "gaussian", "gamma": 0.4, "max_p": 2}
    found = theirs(mid_level.CCKDLoss("site", "site", kernel, reduction="batchmean"), s, t)
    return ours(limbeck.losses.CorrelationCongruence(), s, t), found**2 * BATCH**2


def crd():
    samples, embedding = 12, 4
    loss = limbeck.losses.CRD(samples, CHANNELS, 7, negatives=None, embedding=embedding)
    reference = mid_level.CRDLoss("site", "site", "site", embedding, samples, samples - 1, samples)
    # Their first memory is read with the teacher's embedding, so it is the one of the student.
    reference.memory_v1.copy_(loss.student_memory)
    reference.memory_v2.copy_(loss.teacher_memory)
    s, t, numbers = vectors(), vectors(7), torch.tensor([3, 0, 7, 11, 5, 8])
    keys = torch.stack([numbers, torch.zeros_like(numbers)], 1)
    drawn = torch.stack([(numbers + step) % samples for step in range(samples)], 1)
    mine, other = F.normalize(loss.student_map(s), dim=1), F.normalize(loss.teacher_map(t), dim=1)
    said = {"site": {"output": mine, "input": {"pos_idx": numbers, "contrast_idx": drawn}}}
    found = loss(feature(s), feature(t), Context(keys=keys))
    return found.item(), reference(said, {"site": {"output": other}}).item()


def hcl():
    s, t = maps(), maps()
    return ours(limbeck.losses.HCL(), s, t), theirs(
        mid_level.HierarchicalContextLoss("site", "output", "site", "output"), (s, None), t
    )


def ickd():
    s, t = maps(), maps()
    return ours(limbeck.losses.ICKD(), s, t), theirs(mid_level.ChSimLoss(PAIRS), s, t) * BATCH


def log_sum():
    s, t, logits = vectors(), vectors(), {"output": torch.zeros(BATCH, 2)}
    loss = mid_level.SRDLoss("site", "output", "site", "output", "head", "output", "head", "output", exponent=4.0)
    normed = [F.batch_norm(each, None, None, training=True) for each in (s, t)]
    found = loss(*({"site": {"output": each}, "head": logits} for each in normed))
    return ours(limbeck.losses.LogSum(), s, t), found.item() / 2


def mse():
    s, t = maps(), maps()
    return ours(limbeck.losses.MSE(), s, t), theirs(low_level(nn.MSELoss()), s, t)


def pad():
    s, t, loss = vectors(), vectors(), limbeck.losses.PAD(CHANNELS)
    nn.init.normal_(loss.log_variance.weight, std=0.3)
    said = {"site": {"output": s}, "var_estimator": {"output": loss.log_variance(s)}}
    found = mid_level.PADL2Loss("site", "site", eps=0.0)(said, {"site": {"output": t}})
    return ours(loss, s, t), found.item()


def pkt():
    s, t = vectors(), vectors(7)
    return ours(limbeck.losses.PKT(), s, t), theirs(mid_level.PKTLoss("site", "output", "site", "output"), s, t)


def rkd_angle():
    s, t = maps(), vectors(7)
    return ours(limbeck.losses.RKDAngle(), s, t), theirs(mid_level.RKDLoss("site", "site", 0.0, 1.0, "mean"), s, t)


def rkd_distance():
    s, t = maps(), vectors(7)
    return ours(limbeck.losses.RKDDistance(), s, t), theirs(mid_level.RKDLoss("site", "site", 1.0, 0.0, "mean"), s, t)


def similarity_preserving():
    s, t = maps(), vectors(7)
    # Theirs scales rows to sum 1 in absolute value; scaled to length 1 after that, they are those of the paper.
    grams = [F.normalize(each.flatten(1) @ each.flatten(1).T, p=1, dim=1) for each in (s, t)]
    found = theirs(mid_level.SPKDLoss("site", "site", reduction="batchmean"), s, t)
    assert found == pytest.approx((grams[0] - grams[1]).square().mean().item(), rel=1e-5)
    scaled = [F.normalize(each, dim=1) for each in grams]
    return ours(limbeck.losses.SimilarityPreserving(), s, t), (scaled[0] - scaled[1]).square().mean().item()


def smooth_l1():
    s, t = maps(), maps()
    return ours(limbeck.losses.SmoothL1(), s, t), theirs(low_level(nn.SmoothL1Loss()), s, t)


def vid():
    s, t, loss = maps(), maps(), limbeck.losses.VID(CHANNELS)
    nn.init.normal_(loss.alpha)
    variance = (F.softplus(loss.alpha) + 1e-5).view(1, -1, 1, 1)
    return ours(loss, s, t), theirs(mid_level.VIDLoss(PAIRS), (s, variance), t)


CASES = {
    "ActivationBoundaries": activation_boundaries,
    "AttentionTransfer": attention_transfer,
    "CorrelationCongruence": correlation_congruence,
    "CRD": crd,
    "HCL": hcl,
    "ICKD": ickd,
    "LogSum": log_sum,
    "MSE": mse,
    "PAD": pad,
    "PKT": pkt,
    "RKDAngle": rkd_angle,
    "RKDDistance": rkd_distance,
    "SimilarityPreserving": similarity_preserving,
    "SmoothL1": smooth_l1,
    "VID": vid,
}


@pytest.mark.parametrize("name", CASES)
def test_value_is_that_of_torchdistill_up_to_what_the_table_names(name):
    found, expected = CASES[name]()
    assert found == pytest.approx(expected, rel=1e-5)


def test_table_lists_every_feature_loss_that_is_compared_and_no_other():
    section = TABLE.read_text().split("## Feature losses")[1].split("\n## ")[0]
    assert set(re.findall(r"^\| `(\w+)`", section, re.MULTILINE)) == set(CASES)


def test_table_names_classes_that_exist_on_both_sides():
    for mine, other in re.findall(r"^\| `(\w+)` \| `(\w+)`", TABLE.read_text(), re.MULTILINE):
        assert hasattr(limbeck.losses, mine) or hasattr(limbeck.outputs, mine), mine
        assert hasattr(mid_level, other), other


def test_every_loss_of_torchdistill_is_in_a_table_or_named_as_missing():
    classes = (name for name, each in vars(mid_level).items() if inspect.isclass(each))
    theirs = {name for name in classes if name.endswith(("Loss", "Wrapper"))}
    compared, missing = TABLE.read_text().split("## What torchdistill has")
    listed = set(re.findall(r"^\| `\w+` \| `(\w+)`", compared, re.MULTILINE))
    named = set(re.findall(r"`(\w+(?:Loss|Wrapper))`", missing))
    assert listed | named == theirs
    assert not listed & named
