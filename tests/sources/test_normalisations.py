import json
import warnings

import pytest
import torch
from torch import nn

from limbeck.errors import ModelError
from limbeck.sources import as_trained, load_model
from limbeck.sources.normalisations import published_normalisation
from limbeck.teachers import Normalisation, Renormalised

HALF = Normalisation.of([0.5] * 3, [0.5] * 3)
IMAGENET = Normalisation.of((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))


def of_half(weights, data=IMAGENET, options=None, asked="auto"):
    name = "timm:test_vit"  # timm publishes it for a mean and a deviation of 0.5
    teacher = load_model(name, options=options)
    return as_trained(teacher, name, weights=weights, options=options or {}, data=data, asked=asked)


def test_published_weights_see_images_as_in_their_training():
    found = of_half("pretrained")
    assert isinstance(found, Renormalised)
    assert (found.data, found.own) == (IMAGENET, HALF)


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize(
    ("weights", "data", "asked"),
    [
        ("pretrained", HALF, "auto"),  # the same
        ("pretrained", None, "auto"),  # the data's is not known
        ("pretrained", IMAGENET, "data"),
        ("file.pt", IMAGENET, "data"),
        ("random", IMAGENET, "auto"),
        (None, IMAGENET, "auto"),
    ],
)
def test_otherwise_the_teacher_is_left_as_it_is(weights, data, asked):
    assert not isinstance(of_half(weights, data, asked=asked), Renormalised)


def test_weights_of_a_file_are_not_guessed_at():
    with pytest.warns(UserWarning, match="neither is known to be right: it sees the data's. Say"):
        assert not isinstance(of_half("file.pt"), Renormalised)
    assert isinstance(of_half("file.pt", asked="published"), Renormalised)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        of_half("file.pt", data=HALF)


def test_of_channels_that_are_not_colours_nothing_is_known():
    assert not isinstance(of_half("pretrained", options={"in_chans": 1}), Renormalised)


def test_what_is_published_and_not_known_cannot_be_asked_for():
    with pytest.raises(ModelError, match="It is not known"):
        as_trained(nn.Identity(), "my.py:net", weights=None, options={}, data=HALF, asked="published")


def test_torchvision_says_it_for_every_set_of_weights():
    assert published_normalisation("torchvision:resnet50", nn.Identity(), {"weights": "IMAGENET1K_V1"}) == IMAGENET
    # Its detectors normalise by themselves.
    assert published_normalisation("torchvision:retinanet_resnet50_fpn", nn.Identity(), {}) is None


def test_hugging_face_says_it_in_a_file_beside_the_weights(tmp_path):
    pytest.importorskip("transformers")
    settings = {"do_normalize": True, "image_mean": [0.5] * 3, "image_std": [0.5] * 3}
    name = f"hf:{tmp_path}"
    assert published_normalisation(name, nn.Identity(), {}) is None
    (tmp_path / "preprocessor_config.json").write_text(json.dumps(settings))
    assert published_normalisation(name, nn.Identity(), {}) == HALF
    teacher = as_trained(nn.Identity(), name, weights=None, options={}, data=IMAGENET)
    assert isinstance(teacher, Renormalised)
    torch.testing.assert_close(teacher(torch.zeros(1, 3, 2, 2))[0, :, 0, 0], (torch.tensor(IMAGENET.mean) - 0.5) / 0.5)
    for change in ({"do_normalize": False}, {"do_rescale": False}, {"rescale_factor": 1.0}):
        (tmp_path / "preprocessor_config.json").write_text(json.dumps({**settings, **change}))
        assert published_normalisation(name, nn.Identity(), {}) is None
