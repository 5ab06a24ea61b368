"""What a run folder says of its student builds sizes of published architectures, and nothing else."""

import json

import pytest
import torch
from torch import nn

import limbeck
from limbeck.errors import RunError
from limbeck.sources.rebuild import builds_safely, rebuild
from limbeck.training.run_folder import RunFolder


@pytest.mark.parametrize(
    ("name", "safe"),
    [
        ("timm:resnet18.a1_in1k", True),
        ("torchvision:resnet18", True),
        ("limbeck.demo.networks:student", True),
        ("limbeck.demo.networks:nn", False),
        ("timm:hf-hub:someone/model", False),
        ("timm:local-dir:/tmp/model", False),
        ("timm:../model", False),
        ("hf:someone/model", False),
        ("net.py:student", False),
        ("torch.hub:load", False),
        (None, False),
        (["timm:resnet18"], False),
    ],
)
def test_only_published_architectures_are_built_by_a_name_in_a_file(name, safe):
    assert builds_safely(name) is safe


@pytest.mark.parametrize(
    "options",
    [
        {"checkpoint_path": "evil.pt"},
        {"pretrained": True},
        {"pretrained_cfg": {"url": "http://example.org"}},
        {"pretrained_cfg_overlay": {"file": "evil.pt"}},
        {"cache_dir": "/tmp"},
        {"num_classes": {"a": 1}},
        {"global_pool": "../x"},
    ],
)
def test_options_that_do_more_than_set_sizes_are_refused(options, monkeypatch):
    monkeypatch.setattr("timm.create_model", lambda *_, **__: pytest.fail("it was built"))
    with pytest.raises(RunError, match=f"Found the option {next(iter(options))}="):
        rebuild("timm:resnet10t", {"in_chans": 1, **options})


def test_options_of_torchvision_are_checked_too(monkeypatch):
    monkeypatch.setattr("torchvision.models.get_model", lambda *_, **__: pytest.fail("it was built"))
    with pytest.raises(RunError, match="weights_backbone"):
        rebuild("torchvision:lraspp_mobilenet_v3_large", {"weights_backbone": "IMAGENET1K_V1"})


def test_sizes_are_taken_over():
    model = rebuild("timm:vit_tiny_patch16_224", {"img_size": [32, 32], "num_classes": 3, "global_pool": "avg"})
    assert model(torch.zeros(1, 3, 32, 32)).shape == (1, 3)


def finished(path, **facts):
    run = RunFolder.create(path, needed_bytes=1)
    run.save_student(nn.Linear(2, 2))
    run.describe(state="finished", **facts)
    return run


def test_a_run_of_a_factory_says_how_to_name_it(tmp_path):
    run = finished(tmp_path / "run", student_source="net.py:student")
    with pytest.raises(RunError, match=r"student='net.py:student'\) \(--student net.py:student\)"):
        limbeck.load(run.path)


def test_options_of_a_run_go_to_the_factory_that_the_user_names_anew(tmp_path):
    options = {"in_features": 2, "out_features": 2}
    run = finished(tmp_path / "run", student_source="torch.nn:Linear", student_options=options)
    assert limbeck.load(run.path, student="torch.nn:Linear").weight.shape == (2, 2)


def test_a_run_that_asks_a_hub_is_not_followed(tmp_path):
    run = finished(tmp_path / "run", student_source="timm:hf-hub:someone/model")
    with pytest.raises(RunError, match="asks a hub"):
        limbeck.load(run.path)


def test_an_unfinished_run_is_said_before_a_student_is_built(tmp_path):
    run = RunFolder.create(tmp_path / "run", needed_bytes=1)
    (run.path / "run.json").write_text(json.dumps({"state": "running", "student_source": "timm:no_such_model"}))
    with pytest.raises(RunError, match="no student yet"):
        limbeck.load(run.path)
