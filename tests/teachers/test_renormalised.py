import copy

import pytest
import torch
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

import limbeck
from limbeck.batch import Batch, unwrap
from limbeck.cache.identity import weights_hash
from limbeck.errors import ModelError
from limbeck.teachers import Normalisation, Renormalised, Teacher

IMAGENET = Normalisation.of((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
HALF = Normalisation.of([0.5] * 3, [0.5] * 3)
PLAIN = Normalisation.of([0] * 3, [1] * 3)


def normalised(images, how):
    return (images - torch.tensor(how.mean).reshape(-1, 1, 1)) / torch.tensor(how.std).reshape(-1, 1, 1)


@pytest.fixture
def teacher():
    return nn.Sequential(nn.Conv2d(3, 8, 3), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(8, 4)).eval()


def test_the_teacher_sees_what_it_would_have_been_given_by_its_own_normalisation(teacher):
    images = torch.rand(2, 3, 9, 9)
    mine = Renormalised(teacher, data=IMAGENET, own=HALF)
    torch.testing.assert_close(mine(normalised(images, IMAGENET)), teacher(normalised(images, HALF)))


def test_images_among_keyword_arguments_are_found_and_others_are_left_out():
    class Named(nn.Module):
        def forward(self, pixel_values):
            return pixel_values

    mine, images = Renormalised(Named(), data=PLAIN, own=HALF), torch.rand(2, 3, 4, 4)
    torch.testing.assert_close(mine(pixel_values=images, more=1), 2 * images - 1)
    with pytest.raises(ModelError, match=r"Found the inputs \['ids'\]"):
        mine(ids=images)


def test_sites_keep_their_names_and_the_teacher_is_not_changed(teacher):
    before = copy.deepcopy(teacher.state_dict())
    mine, images = Renormalised(teacher, data=PLAIN, own=HALF), torch.rand(2, 3, 9, 9)
    assert unwrap(mine) is teacher
    (spec,) = (each for each in limbeck.capture.probe(mine, Batch(images)).specs if each.site.startswith("1"))
    with Teacher(mine, [spec]) as source:
        found = source(Batch(images)).features[spec.site].x
    expected = teacher[1](teacher[0](2 * images - 1)).flatten(2).transpose(1, 2)
    torch.testing.assert_close(found, expected)
    assert all(torch.equal(before[name], value) for name, value in teacher.state_dict().items())
    assert not any(module._forward_hooks for module in mine.modules())


def test_a_cache_of_another_normalisation_is_another_cache(teacher):
    hashes = {weights_hash(Renormalised(teacher, data=PLAIN, own=own)) for own in (PLAIN, HALF, IMAGENET)}
    assert len(hashes) == 3


def test_the_plan_says_that_images_are_normalised_anew(teacher):
    images, labels = torch.rand(16, 3, 8, 8), torch.randint(0, 4, (16,))
    loader = DataLoader(TensorDataset(images, labels), batch_size=8)
    student = teacher
    teacher = Renormalised(copy.deepcopy(teacher), data=PLAIN, own=HALF)
    (said,) = (each for each in limbeck.plan(teacher, student, loader).choices if "normalisation" in each.name)
    assert said.value == "mean 0.5, 0.5, 0.5, std 0.5, 0.5, 0.5"
    assert "the data have mean 0, 0, 0, std 1, 1, 1" in said.reason


def test_what_cannot_be_normalised_is_refused(teacher):
    with pytest.raises(ModelError, match="3 channels in the data's normalisation and 1 in"):
        Renormalised(teacher, data=PLAIN, own=Normalisation.of([0], [1]))
    with pytest.raises(ModelError, match=r"needs images \[B, 3, H, W\]\. Found \(2, 1, 8, 8\)"):
        Renormalised(teacher, data=PLAIN, own=HALF)(torch.zeros(2, 1, 8, 8))
    for mean, std in (([0, 0], [1]), ([0], [0]), ([], [])):
        with pytest.raises(ModelError, match="a positive deviation for each channel"):
            Normalisation.of(mean, std)
