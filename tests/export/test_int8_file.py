import numpy as np
import onnx
import onnxruntime
import pytest
import timm
import torch
from torch import nn
from transformers import BertConfig, BertForSequenceClassification

from limbeck.errors import ModelError
from limbeck.export import export, to_onnx, to_onnx_int8

SIZES = {"hidden_size": 64, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 128}


def text_model():
    return BertForSequenceClassification(BertConfig(**SIZES, vocab_size=500, num_labels=3))


def texts():
    return {"input_ids": torch.randint(0, 500, (4, 9)), "attention_mask": torch.ones(4, 9, dtype=torch.long)}


STUDENTS = {
    "cnn": (lambda: timm.create_model("resnet10t", num_classes=5), lambda: torch.randn(4, 3, 32, 32), 0.3),
    "vit": (
        lambda: timm.create_model("vit_tiny_patch16_224", num_classes=5, img_size=32, depth=2),
        lambda: torch.randn(4, 3, 32, 32),
        0.35,
    ),
    "text": (text_model, texts, 0.6),
}


@pytest.mark.parametrize("kind", list(STUDENTS))
def test_weights_in_eight_bits_are_smaller_run_on_any_batch_and_are_measured(tmp_path, kind):
    make, inputs, share = STUDENTS[kind]
    torch.manual_seed(0)
    student, example = make().eval(), inputs()
    exact = to_onnx(student, example, tmp_path / "exact.onnx")
    small = to_onnx_int8(student, example, tmp_path / "small.onnx")
    assert small.bytes == small.path.stat().st_size < share * exact.bytes
    assert 1e-4 < small.mean_difference < small.max_difference < 0.1
    assert exact.max_difference < 1e-4
    # What is reported, against the file run by onnxruntime alone.
    named = example if isinstance(example, dict) else {"x": example}
    with torch.no_grad():
        expected = student(**named).logits.numpy() if isinstance(example, dict) else student(example).numpy()
    found = onnxruntime.InferenceSession(small.path).run(None, {name: each.numpy() for name, each in named.items()})[0]
    apart = np.abs(found - expected) / np.abs(expected).max()
    assert small.mean_difference == pytest.approx(apart.mean(), rel=1e-3)
    assert small.agreement == (found.argmax(1) == expected.argmax(1)).mean()
    assert "mean" in str(small)
    assert {each.name for each in tmp_path.iterdir()} == {"exact.onnx", "small.onnx"}


def test_convolutions_in_groups_stay_in_full_precision(tmp_path):
    student = nn.Sequential(nn.Conv2d(3, 8, 1), nn.Conv2d(8, 8, 3, groups=8), nn.Flatten(), nn.Linear(288, 4))
    exported = to_onnx_int8(student, torch.randn(4, 3, 8, 8), tmp_path / "student.onnx")
    kinds = [each.op_type for each in onnx.load(exported.path).graph.node]
    assert (kinds.count("Conv"), kinds.count("ConvInteger"), kinds.count("MatMulInteger")) == (1, 1, 1)


class Coarse(nn.Module):
    """Its answer is the small difference of large numbers, which 8 bits do not hold."""

    def __init__(self):
        super().__init__()
        self.layer = nn.Linear(16, 4, bias=False)

    def forward(self, x):
        return self.layer(x + 1000) - self.layer(x * 0 + 1000)


def test_a_student_that_eight_bits_do_not_hold_is_refused_and_nothing_is_written(tmp_path):
    with pytest.raises(ModelError, match=r"Found a difference of .*Nothing was written.*--to onnx"):
        to_onnx_int8(Coarse(), torch.randn(4, 16), tmp_path / "student.onnx")
    assert not list(tmp_path.iterdir())


def test_predictions_that_change_are_told_loudly(tmp_path):
    with pytest.warns(UserWarning, match=r"largest entry .* elsewhere in \d+% of the answers"):
        exported = to_onnx_int8(Coarse(), torch.randn(32, 16), tmp_path / "student.onnx", tolerance=1e6)
    assert exported.agreement < 0.95


def test_a_student_without_weights_to_quantise_is_refused(tmp_path):
    with pytest.raises(ModelError, match="Found none to quantise in LayerNorm"):
        to_onnx_int8(nn.LayerNorm(8), torch.randn(4, 8), tmp_path / "student.onnx")


def test_in_a_folder_it_does_not_take_the_name_of_the_exact_one(tmp_path):
    assert export(nn.Linear(64, 64), torch.randn(4, 64), tmp_path, to="onnx-int8").path.name == "student-int8.onnx"
