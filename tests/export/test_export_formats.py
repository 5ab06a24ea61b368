import copy

import numpy as np
import onnxruntime
import pytest
import torch
from safetensors.torch import load_file
from torch import nn
from torch.nn import functional as F
from transformers import BertConfig, BertForSequenceClassification, BertModel

from limbeck.errors import LimbeckError, ModelError, RunError
from limbeck.export import export, to_onnx, to_safetensors, to_torch
from limbeck.export.formats import FORMATS

TINY = {"hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 32, "vocab_size": 50}
WRITERS = {"onnx": to_onnx, "torch": to_torch}
# A folder of Hugging Face is for some students only: see test_huggingface_folder.py.
SUFFIXES = {name: "." + ending.split(".")[1] for name, (ending, _) in FORMATS.items() if name != "huggingface"}


@pytest.fixture(autouse=True)
def seeded():
    torch.manual_seed(0)


class Residual(nn.Module):
    def __init__(self, channels, out, stride):
        super().__init__()
        self.body = nn.Sequential(
            nn.Conv2d(channels, out, 3, stride, 1, bias=False),
            nn.BatchNorm2d(out),
            nn.ReLU(inplace=True),
            nn.Conv2d(out, out, 3, 1, 1, bias=False),
            nn.BatchNorm2d(out),
        )
        self.skip = nn.Conv2d(channels, out, 1, stride, bias=False)

    def forward(self, x):
        return F.relu(self.body(x) + self.skip(x), inplace=True)


def resnet():
    model = nn.Sequential(
        nn.Conv2d(3, 8, 3, 1, 1),
        Residual(8, 16, 2),
        Residual(16, 32, 2),
        nn.AdaptiveAvgPool2d(1),
        nn.Flatten(),
        nn.Linear(32, 5),
    )
    model(torch.randn(16, 3, 16, 16))  # running statistics as after training, not those of a new model
    return model


def mlp():
    return nn.Sequential(nn.Flatten(), nn.Linear(12, 16), nn.GELU(), nn.LayerNorm(16), nn.Linear(16, 3))


def bert(kind=BertForSequenceClassification):
    return kind(BertConfig(**TINY, num_labels=3))


def texts(samples=4, length=9):
    mask = torch.ones(samples, length, dtype=torch.long)
    mask[1, 5:] = 0
    return {"input_ids": torch.randint(0, 50, (samples, length)), "attention_mask": mask}


class Recurrent(nn.Module):
    def __init__(self):
        super().__init__()
        self.memory = nn.GRU(4, 8, batch_first=True)
        self.head = nn.Linear(8, 3)

    def forward(self, x):
        return self.head(self.memory(x)[0][:, -1])


class TwoInputs(nn.Module):
    def __init__(self):
        super().__init__()
        self.image, self.age = nn.Linear(6, 4), nn.Linear(1, 4)

    def forward(self, image, age):
        return self.image(image) + self.age(age)


class Tied(nn.Module):
    def __init__(self):
        super().__init__()
        self.embedding = nn.Embedding(7, 4)
        self.head = nn.Linear(4, 7, bias=False)
        self.head.weight = self.embedding.weight

    def forward(self, tokens):
        return self.head(self.embedding(tokens).mean(1))


STUDENTS = {
    "resnet": (resnet, lambda: torch.randn(4, 3, 16, 16)),
    "mlp": (mlp, lambda: torch.randn(4, 3, 2, 2)),
    "gru": (Recurrent, lambda: torch.randn(4, 6, 4)),
    "two inputs": (TwoInputs, lambda: (torch.randn(4, 6), torch.randn(4, 1))),
    "tied": (Tied, lambda: torch.randint(0, 7, (4, 5))),
}


@pytest.mark.parametrize("to", ["torch", "onnx", "safetensors"])
@pytest.mark.parametrize("name", list(STUDENTS))
def test_every_student_is_written_and_answers_as_before(tmp_path, name, to):
    make, inputs = STUDENTS[name]
    student, example = make(), inputs()
    exported = export(student, example, tmp_path / f"deep/student{SUFFIXES[to]}", to=to)
    assert exported.format == to
    assert exported.bytes == exported.path.stat().st_size > 0
    assert exported.max_difference <= (0.0 if to == "safetensors" else 1e-5)
    assert [each.name for each in exported.path.parent.iterdir()] == [exported.path.name]


def test_an_onnx_file_runs_on_any_batch_without_limbeck(tmp_path):
    student = resnet()
    exported = to_onnx(student, torch.randn(2, 3, 16, 16), tmp_path / "student.onnx")
    session = onnxruntime.InferenceSession(exported.path)
    assert [each.name for each in session.get_outputs()] == ["output"]
    assert session.get_inputs()[0].shape == ["batch", 3, 16, 16]
    images = torch.randn(11, 3, 16, 16)
    found = session.run(None, {session.get_inputs()[0].name: images.numpy()})[0]
    np.testing.assert_allclose(found, student.eval()(images).detach(), atol=1e-5)


def test_a_text_model_keeps_its_names_its_mask_and_a_free_length(tmp_path):
    student = bert()
    exported = to_onnx(student, texts(), tmp_path / "student.onnx")
    assert exported.axes == ("batch", "length")
    session = onnxruntime.InferenceSession(exported.path)
    assert {each.name for each in session.get_inputs()} == {"input_ids", "attention_mask"}
    inputs = texts(7, 13)
    found = session.run(None, {name: tensor.numpy() for name, tensor in inputs.items()})[0]
    np.testing.assert_allclose(found, student.eval()(**inputs).logits.detach(), atol=1e-5)


def test_a_program_of_torch_runs_on_any_batch_and_takes_the_arguments_of_the_student(tmp_path):
    student = TwoInputs()
    exported = to_torch(student, (torch.randn(4, 6), torch.randn(4, 1)), tmp_path / "student.pt2")
    image, age = torch.randn(1, 6), torch.randn(1, 1)
    torch.testing.assert_close(torch.export.load(exported.path).module()(image, age), student(image, age))


@pytest.mark.parametrize("to", list(WRITERS))
def test_an_example_of_one_sample_is_enough_for_a_free_batch(tmp_path, to):
    exported = WRITERS[to](mlp(), torch.randn(1, 3, 2, 2), tmp_path / f"student{SUFFIXES[to]}")
    assert "batch" in exported.axes


def test_an_encoder_answers_with_its_last_hidden_state(tmp_path):
    student = bert(BertModel)
    exported = to_torch(student, texts(), tmp_path / "student.pt2")
    found = torch.export.load(exported.path).module()(**(inputs := texts(3, 6)))
    torch.testing.assert_close(found, student.eval()(**inputs).last_hidden_state)


def test_the_answer_can_be_read_by_the_user(tmp_path):
    student = bert(BertModel)
    exported = to_torch(student, texts(), tmp_path / "student.pt2", output=lambda raw: raw.pooler_output)
    found = torch.export.load(exported.path).module()(**(inputs := texts(3, 6)))
    torch.testing.assert_close(found, student.eval()(**inputs).pooler_output)


def test_entries_of_a_batch_that_the_student_does_not_take_are_left_out(tmp_path):
    exported = to_torch(bert(), {**texts(), "row": torch.arange(4)}, tmp_path / "student.pt2")
    assert exported.axes == ("batch", "length")
    torch.export.load(exported.path).module()(**texts(2, 5))


def test_an_entry_that_only_reaches_the_student_through_its_keywords_is_kept(tmp_path):
    class Outer(nn.Module):
        def __init__(self):
            super().__init__()
            self.inner = TwoInputs()

        def forward(self, image, **others):
            return self.inner(image, others["age"])

    student, inputs = Outer(), {"image": torch.randn(4, 6), "age": torch.randn(4, 1), "row": torch.arange(4)}
    exported = to_onnx(student, inputs, tmp_path / "student.onnx")
    session = onnxruntime.InferenceSession(exported.path)
    assert {each.name for each in session.get_inputs()} == {"image", "age"}


class FixedPositions(nn.Module):
    def __init__(self):
        super().__init__()
        self.embedding = nn.Embedding(7, 4)
        self.positions = nn.Parameter(torch.randn(5, 4))

    def forward(self, tokens):
        return (self.embedding(tokens) * self.positions).sum(1)


def test_a_length_that_the_student_binds_is_told_as_bound(tmp_path):
    exported = to_torch(FixedPositions(), torch.randint(0, 7, (4, 5)), tmp_path / "student.pt2")
    assert exported.axes == ("batch",)
    assert "free axes: batch," in str(exported)


def test_the_student_stays_as_it_was(tmp_path):
    student = resnet().train()
    student[0].eval()
    before = copy.deepcopy(student.state_dict())
    modes = [module.training for module in student.modules()]
    for to, suffix in SUFFIXES.items():
        export(student, torch.randn(4, 3, 16, 16), tmp_path / f"student{suffix}", to=to)
    assert all(torch.equal(tensor, before[name]) for name, tensor in student.state_dict().items())
    assert [module.training for module in student.modules()] == modes
    assert all(parameter.requires_grad for parameter in student.parameters())


def test_an_export_is_quiet(tmp_path, capfd, recwarn):
    for to, suffix in SUFFIXES.items():
        export(mlp(), torch.randn(4, 12), tmp_path / f"student{suffix}", to=to)
    assert capfd.readouterr() == ("", "")
    assert not recwarn.list


class Branching(nn.Module):
    def __init__(self):
        super().__init__()
        self.layer = nn.Linear(4, 2)

    def forward(self, x):
        return self.layer(x) if x.sum() > 0 else -self.layer(x)


class BoundBatch(nn.Module):
    def __init__(self):
        super().__init__()
        self.layer = nn.Linear(4, 2)

    def forward(self, x):
        return self.layer(x.view(2, -1)) if len(x) == 2 else self.layer(x)


class Noisy(nn.Module):
    def __init__(self):
        super().__init__()
        self.layer = nn.Linear(40, 2)

    def forward(self, x):
        return self.layer(F.dropout(x, 0.5, training=True))


class NotFinite(nn.Module):
    def __init__(self):
        super().__init__()
        self.layer = nn.Linear(4, 2)

    def forward(self, x):
        return self.layer(x) / 0.0 * 0.0


@pytest.mark.parametrize("to", list(WRITERS))
@pytest.mark.parametrize("kind", [Branching, BoundBatch])
def test_a_student_that_cannot_be_followed_is_told_with_the_alternative(tmp_path, kind, to):
    with pytest.raises(ModelError, match=rf"torch.export must follow the forward of {kind.__name__}.*safetensors"):
        WRITERS[to](kind(), torch.randn(4, 4), tmp_path / f"student{SUFFIXES[to]}")
    assert to_safetensors(kind(), torch.randn(4, 4), tmp_path / "student.safetensors").max_difference == 0


@pytest.mark.parametrize("to", list(SUFFIXES))
@pytest.mark.parametrize(
    ("make", "inputs", "complaint"),
    [
        (Noisy, torch.randn(4, 40), "answers the same twice. Noisy does not"),
        (NotFinite, torch.randn(4, 4), "not finite"),
        (mlp, torch.randn(4, 5), r"Sequential failed on .*\[[123], 5\]"),
        (lambda: nn.Identity(), [torch.ones(2)], "list with tensors"),
        (lambda: nn.Identity(), {}, "at least one tensor"),
    ],
    ids=["random", "nan", "wrong inputs", "nested", "nothing"],
)
def test_students_that_cannot_be_checked_are_refused_and_nothing_is_written(tmp_path, make, inputs, complaint, to):
    with pytest.raises(ModelError, match=complaint):
        export(make(), inputs, tmp_path / f"student{SUFFIXES[to]}", to=to)
    assert list(tmp_path.iterdir()) == []


def test_a_file_that_answers_otherwise_is_refused_and_the_earlier_one_kept(tmp_path, monkeypatch):
    (tmp_path / "student.pt2").write_text("an earlier export")
    real = torch.export.save

    def save_another(program, place):
        moved = program.state_dict["student.layer.bias"] + 0.01
        program.state_dict["student.layer.bias"] = nn.Parameter(moved, requires_grad=False)
        real(program, place)

    class Linear(nn.Module):
        def __init__(self):
            super().__init__()
            self.layer = nn.Linear(4, 2)

        def forward(self, x):
            return self.layer(x)

    monkeypatch.setattr("torch.export.save", save_another)
    with pytest.raises(ModelError, match="Found a difference of"):
        to_torch(Linear(), torch.randn(4, 4), tmp_path / "student.pt2")
    assert (tmp_path / "student.pt2").read_text() == "an earlier export"
    assert len(list(tmp_path.iterdir())) == 1


def test_weights_that_are_not_in_the_state_dict_are_noticed(tmp_path):
    class Hidden(nn.Module):
        def __init__(self):
            super().__init__()
            self.layer = nn.Linear(4, 2)
            self.scale = nn.Parameter(torch.tensor(3.0))
            self._register_state_dict_hook(lambda _, state, *__: state.pop("scale") and None)

        def forward(self, x):
            return self.layer(x) * self.scale

    student = Hidden()
    with pytest.raises(ModelError, match="Keep weights in parameters and buffers"):
        to_safetensors(student, torch.randn(4, 4), tmp_path / "student.safetensors")


def test_large_weights_go_to_a_data_file_that_moves_along(tmp_path, monkeypatch):
    monkeypatch.setattr("limbeck.export.onnx_file._ONE_FILE", 0)
    student = nn.Linear(64, 64)
    exported = to_onnx(student, torch.randn(4, 64), tmp_path / "student.onnx")
    assert {each.name for each in tmp_path.iterdir()} == {"student.onnx", "student.onnx.data"}
    assert exported.bytes == sum(each.stat().st_size for each in tmp_path.iterdir())
    x = torch.randn(3, 64)
    found = onnxruntime.InferenceSession(exported.path).run(None, {"input": x.numpy()})[0]
    np.testing.assert_allclose(found, student(x).detach(), atol=1e-5)


def test_tied_weights_are_stored_once(tmp_path):
    exported = to_safetensors(Tied(), torch.randint(0, 7, (4, 5)), tmp_path / "student.safetensors")
    assert list(load_file(exported.path)) == ["embedding.weight"]


def test_the_weights_of_a_compiled_student_have_the_names_of_the_student(tmp_path):
    student = torch.compile(mlp())
    exported = to_safetensors(student, torch.randn(4, 3, 2, 2), tmp_path / "student.safetensors")
    assert load_file(exported.path).keys() == mlp().state_dict().keys()


def test_a_folder_is_given_a_file_called_student(tmp_path):
    assert export(mlp(), torch.randn(4, 12), tmp_path, to="torch").path == tmp_path / "student.pt2"


def test_an_unknown_format_is_answered_with_the_known_ones():
    with pytest.raises(LimbeckError, match="'onnx'"):
        export(mlp(), torch.randn(4, 12), "student.onx", to="onx")


@pytest.mark.parametrize("to", list(SUFFIXES))
def test_a_name_with_another_ending_is_refused(tmp_path, to):
    with pytest.raises(RunError, match=rf"ending in \{SUFFIXES[to]}"):
        export(mlp(), torch.randn(4, 12), tmp_path / "student.bin", to=to)


def test_a_place_that_cannot_be_written_is_an_error_that_says_why(tmp_path):
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(RunError, match="Free disk space, or choose another folder"):
        export(mlp(), torch.randn(4, 12), tmp_path / "file" / "student.onnx")


def test_a_student_that_cannot_be_copied_is_told_why(tmp_path):
    student = mlp()
    student.result = student[1].weight * 2
    with pytest.raises(ModelError, match="cannot be copied"):
        to_safetensors(student, torch.randn(4, 12), tmp_path / "student.safetensors")


def test_a_missing_package_is_answered_with_the_extra(tmp_path, monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "onnxruntime", None)
    with pytest.raises(LimbeckError, match=r"onnxruntime.*pip install 'limbeck\[export\]'"):
        to_onnx(mlp(), torch.randn(4, 12), tmp_path / "student.onnx")
