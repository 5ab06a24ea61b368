"""The folder of Hugging Face: loaded by the Auto classes, and refused for other students."""

import json

import pytest
import torch
from torch import nn
from transformers import AutoModel, AutoModelForSequenceClassification, BertModel

from limbeck.errors import LimbeckError, ModelError, RunError
from limbeck.export import export, to_huggingface
from limbeck.sources import load_model
from tests.integrations.berts import bert


def texts():
    return {"input_ids": torch.randint(0, 10, (4, 6)), "attention_mask": torch.ones(4, 6, dtype=torch.long)}


@pytest.mark.parametrize(
    ("make", "auto", "read"),
    [
        (lambda: bert(8, 2), AutoModelForSequenceClassification, "logits"),
        (lambda: BertModel(bert(8, 2).config), AutoModel, "last_hidden_state"),
    ],
    ids=["classifier", "encoder"],
)
def test_the_folder_is_loaded_by_an_auto_class_and_by_name_with_the_same_answers(tmp_path, make, auto, read, capfd):
    student, inputs = make().train(), texts()
    exported = export(student, inputs, tmp_path / "small", to="huggingface")
    assert (exported.path, exported.format, exported.max_difference) == (tmp_path / "small", "huggingface", 0.0)
    assert exported.bytes == sum(each.stat().st_size for each in exported.path.iterdir())
    assert capfd.readouterr() == ("", "")
    assert student.training
    expected = getattr(student.eval()(**inputs), read)
    for loaded in (auto.from_pretrained(exported.path), load_model(f"hf:{exported.path}")):
        assert torch.equal(getattr(loaded.eval()(**inputs), read), expected)


def test_an_earlier_folder_is_written_anew_and_what_lies_beside_stays(tmp_path):
    first = export(bert(8, 2), texts(), tmp_path, to="huggingface")
    assert first.path == tmp_path / "student-huggingface"
    (first.path / "tokenizer.json").write_text("{}")
    second = export(bert(8, 1), texts(), first.path, to="huggingface")
    assert second.path == first.path
    assert json.loads((first.path / "config.json").read_text())["num_hidden_layers"] == 1
    assert {each.name for each in first.path.iterdir()} == {"config.json", "model.safetensors", "tokenizer.json"}


def test_other_students_are_refused_and_nothing_is_written(tmp_path):
    with pytest.raises(ModelError, match=r"needs a student of transformers. Found .*Sequential.*--to safetensors"):
        to_huggingface(nn.Sequential(nn.Linear(2, 2)), torch.zeros(1, 2), tmp_path / "small")
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(RunError, match="choose another folder"):
        to_huggingface(bert(8, 1), texts(), tmp_path / "file")
    assert [each.name for each in tmp_path.iterdir()] == ["file"]


class Scaled(BertModel):
    """Its answers depend on what neither weights nor configuration hold."""

    scale = 1.0

    def forward(self, input_ids, attention_mask=None):
        return super().forward(input_ids, attention_mask).last_hidden_state * self.scale


def test_a_student_whose_answers_do_not_come_back_is_refused(tmp_path):
    student = Scaled(bert(8, 1).config, add_pooling_layer=False)
    student.scale = 2.0
    with pytest.raises(ModelError, match=r"Found a difference of 0\.5.*Nothing was written.*configuration"):
        to_huggingface(student, texts(), tmp_path / "small")
    assert not list(tmp_path.iterdir())


def test_without_transformers_the_extra_is_named(tmp_path, monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "transformers", None)
    with pytest.raises(LimbeckError, match=r"pip install 'limbeck\[text\]'"):
        to_huggingface(nn.Linear(2, 2), torch.zeros(1, 2), tmp_path / "small")
