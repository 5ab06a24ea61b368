"""A distillation with a cached teacher gives the same student, and runs the teacher once for a view of a sample."""

import copy
import random

import pytest
import torch
from torch import nn
from torch.utils.data import DataLoader, Dataset, TensorDataset

import limbeck
from limbeck.cache import CacheError
from limbeck.errors import DataError
from tests.toys import Counting

OPTIONS = {"steps": 40, "lr": 0.01, "check_teacher": False, "progress": False}


def network(width):
    torch.manual_seed(width)
    return nn.Sequential(
        nn.Sequential(nn.Conv2d(1, width, 3, padding=1), nn.ReLU()),
        nn.Sequential(nn.Conv2d(width, width, 3, stride=2, padding=1), nn.ReLU()),
        nn.AdaptiveAvgPool2d(1),
        nn.Flatten(),
        nn.Linear(width, 3),
    )


class Flipped(Dataset):
    """Images that are flipped by chance."""

    def __init__(self, images, labels):
        self.images, self.labels = images, labels

    def __len__(self):
        return len(self.images)

    def __getitem__(self, index):
        image = self.images[index]
        return (image.flip(-1) if random.random() < 0.5 else image), self.labels[index]


@pytest.fixture
def data():
    torch.manual_seed(0)
    images = torch.randn(80, 1, 6, 6)
    return images, (images.mean((1, 2, 3)) > 0).long()


def loader(dataset):
    return DataLoader(dataset, batch_size=16, shuffle=True)


def distilled(teacher, data, **options):
    student = network(4)
    report = limbeck.distill(teacher, student, data, **{**OPTIONS, **options})
    return student, report


def test_an_exact_cache_gives_the_student_of_the_live_teacher(data, tmp_path):
    live, _ = distilled(network(8), loader(TensorDataset(*data)))
    cached, _ = distilled(network(8), loader(TensorDataset(*data)), cache=tmp_path, cache_encoding="float32")
    for mine, theirs in zip(cached.parameters(), live.parameters(), strict=True):
        torch.testing.assert_close(mine, theirs, rtol=1e-3, atol=1e-4)


def test_a_second_run_reads_what_the_first_computed_and_is_equal_to_the_last_bit(data, tmp_path):
    teacher = Counting(network(8))
    first, report = distilled(teacher, loader(Flipped(*data)), cache=tmp_path, cache_views=2)
    filling, teacher.seen = teacher.seen, 0
    second, _ = distilled(teacher, loader(Flipped(*data)), cache=tmp_path, cache_views=2)
    assert all(torch.equal(a, b) for a, b in zip(first.parameters(), second.parameters(), strict=True))
    # What is left is looking at the models and the samples that are computed again to compare.
    assert teacher.seen < filling - 2 * 72 + 20
    choices = {choice.name: choice for choice in report.plan.choices}
    assert choices["views"].value == 2
    assert "MB" in choices["teacher cache"].value


def test_other_weights_are_refused_before_training(data, tmp_path):
    distilled(network(8), loader(TensorDataset(*data)), cache=tmp_path)
    other = network(8)
    with torch.no_grad():
        other[4].bias.add_(1.0)
    student = network(4)
    before = copy.deepcopy(student.state_dict())
    with pytest.raises(CacheError, match="weights"):
        limbeck.distill(other, student, loader(TensorDataset(*data)), cache=tmp_path, **OPTIONS)
    assert all(torch.equal(value, student.state_dict()[name]) for name, value in before.items())


def test_a_stream_cannot_be_cached_and_says_so(data, tmp_path):
    batches = [(data[0][:16], data[1][:16])] * 5
    with pytest.raises(DataError, match="no DataLoader"):
        distilled(network(8), batches, cache=tmp_path)


def test_where_no_answer_is_needed_the_head_of_the_teacher_does_not_run(data):
    teacher = network(8)
    runs = []
    teacher[4].register_forward_hook(lambda *_: runs.append(1))
    recipe = {"mapping": {"kind": "LastStages", "count": 1}, "outputs": [{"loss": "CrossEntropy"}]}
    _, report = distilled(teacher, loader(TensorDataset(*data)), recipe=recipe)
    (choice,) = [each for each in report.plan.choices if each.name == "teacher early stop"]
    assert choice.value == "on"
    assert len(runs) < 20  # looking and planning; 40 steps and every validation go without


@pytest.mark.parametrize("loss", [{"kind": "CRD", "negatives": 16}, {"kind": "SRRL"}], ids=["sample keys", "a head"])
def test_losses_that_need_more_than_two_features_get_it(loss, data):
    recipe = {"mapping": {"kind": "HeadInput"}, "features": [{"loss": loss}]}
    _, report = distilled(network(8), loader(TensorDataset(*data)), recipe=recipe)
    assert report.history.rows[-1]["terms"]
