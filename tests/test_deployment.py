import pytest
import torch
from torch import nn

from limbeck import deployment_costs
from limbeck.errors import LimbeckError, ModelError
from limbeck.export import export
from limbeck.export.formats import FORMATS
from limbeck.export.opening import opened


class Named(nn.Module):
    def __init__(self, width):
        super().__init__()
        self.first, self.second = nn.Linear(64, width), nn.Linear(width, 3)

    def forward(self, image, age):
        return self.second(self.first(image).relu()) + age


def calls_of(model):
    """A list that grows with every call: samples, mode, gradients."""
    calls = []
    model.register_forward_pre_hook(
        lambda module, _, inputs: calls.append((len(inputs["image"]), module.training, torch.is_grad_enabled())),
        with_kwargs=True,
    )
    return calls


@pytest.fixture(scope="module")
def measured(tmp_path_factory):
    """A student, its inputs and files, the table of them and a teacher, and the calls of both."""
    torch.manual_seed(0)
    folder = tmp_path_factory.mktemp("files")
    teacher, student = Named(1024), Named(128).train()
    inputs = {"image": torch.randn(4, 64), "age": torch.randn(4, 1)}
    files = [export(student, inputs, folder, to=each) for each in ("onnx", "onnx-int8", "torch", "safetensors")]
    calls = calls_of(teacher), calls_of(student)
    costs = deployment_costs(student, inputs, teacher=teacher, exported=files, batches=(1, 6), seconds=0.0)
    return student, inputs, files, costs, calls


def test_the_table_has_everyone_in_order_with_its_size(measured):
    _, _, files, costs, _ = measured
    assert [row.name for row in costs.rows] == ["teacher", "student", *(each.path.name for each in files)]
    count = {"teacher": 64 * 1024 + 1024 + 1024 * 3 + 3}
    assert [row.parameters for row in costs.rows] == [
        count.get(row.name, 64 * 128 + 128 + 128 * 3 + 3) for row in costs.rows
    ]
    assert [row.bytes for row in costs.rows[2:]] == [each.path.stat().st_size for each in files]
    exact, small = costs.rows[2], costs.rows[3]
    assert small.bytes < exact.bytes < costs.rows[0].bytes
    assert [row.max_difference for row in costs.rows] == [None, None, *(each.max_difference for each in files)]


def test_everyone_is_measured_alike_at_every_batch_size(measured):
    student, _, _, costs, calls = measured
    # One run to see that it works, then three blocks of three calls that warm up and five that are timed.
    expected = [(4, False, False), *[(1, False, False)] * 24, *[(6, False, False)] * 24]
    assert calls == (expected, expected)
    assert student.training
    for row in costs.rows[:-1]:
        assert list(row.latencies) == [1, 6]
        assert all(
            each.milliseconds > 0 and each.slowest <= each.speed_up <= each.fastest for each in row.latencies.values()
        )
    assert all(each[1:] == (1, 1, 1) for each in costs.rows[0].latencies.values())
    assert costs.rows[-1].latencies == {}


def test_what_is_measured_answers_as_the_student_does(measured):
    student, inputs, files, _, _ = measured
    expected = student.eval()(**inputs)
    for each, tolerance in zip(files[:3], (1e-5, 0.1, 1e-5), strict=True):
        assert (opened(each)(inputs) - expected).abs().max() <= tolerance * expected.abs().max()
    assert opened(files[3]) is None


def test_the_table_is_shown_in_markdown_with_how_it_was_measured(measured):
    costs = measured[3]
    lines = str(costs).splitlines()
    assert [line.count("|") for line in lines[:8]] == [9] * 8
    assert lines[2].startswith("| teacher | 69,635 | 0.28 (100%) |")
    assert "| as student |" in lines[7]
    assert "as the teacher" in lines[-1]


def test_without_a_teacher_files_are_compared_with_the_student_and_arguments_may_be_positional(tmp_path):
    student, inputs = Named(8), (torch.randn(2, 64), torch.randn(2, 1))
    exported = export(student, inputs, tmp_path, to="torch")
    costs = deployment_costs(student, inputs, exported=[exported], batches=(3,), seconds=0.0)
    assert [row.name for row in costs.rows] == ["student", "student.pt2"]
    assert "as the student" in costs.note


def test_a_teacher_on_other_inputs_and_empty_batches_are_refused():
    student, inputs = nn.Linear(4, 2), torch.randn(3, 4)
    with pytest.raises(ModelError, match=r"The teacher Linear does not run on them.*leave the teacher out"):
        deployment_costs(student, inputs, teacher=nn.Linear(5, 2))
    with pytest.raises(LimbeckError, match=r"at least 1\. Found \[0\]"):
        deployment_costs(student, inputs, batches=(0,))


def test_every_format_can_be_opened_or_is_plain_weights():
    from limbeck.export.opening import _RUNS

    assert set(FORMATS) - set(_RUNS) == {"safetensors", "huggingface"}
