import pytest
import torch
from safetensors.torch import save_model
from torch import nn

from limbeck.errors import LimbeckError, ModelError
from limbeck.sources import extra, load_model


def same(model, other):
    theirs = other.state_dict()
    return all(torch.equal(tensor, theirs[name]) for name, tensor in model.state_dict().items())


def test_a_timm_model_is_built_with_its_options():
    model = load_model("timm:resnet10t", options={"num_classes": 7})
    assert model(torch.zeros(2, 3, 32, 32)).shape == (2, 7)


def test_a_torchvision_model_is_built_with_its_options():
    model = load_model("torchvision:squeezenet1_1", options={"num_classes": 7})
    assert model(torch.zeros(2, 3, 64, 64)).shape == (2, 7)


def test_a_torchvision_detector_fetches_no_backbone(monkeypatch):
    def refuse(*args, **kwargs):
        raise OSError("no download is wanted")

    monkeypatch.setattr("torch.hub.load_state_dict_from_url", refuse)
    monkeypatch.setattr("torchvision._internally_replaced_utils.load_state_dict_from_url", refuse)
    monkeypatch.setattr("torchvision.models._api.load_state_dict_from_url", refuse)
    assert isinstance(load_model("torchvision:lraspp_mobilenet_v3_large", options={"num_classes": 2}), nn.Module)


@pytest.mark.parametrize(
    ("name", "neighbour"), [("timm:resnet55", "resnet50"), ("torchvision:resnet19", "resnet18")], ids=["timm", "tv"]
)
def test_an_unknown_name_is_answered_with_at_most_three_near_ones(name, neighbour):
    with pytest.raises(ModelError, match=neighbour) as caught:
        load_model(name)
    nearest = str(caught.value).split("Nearest:")[1].split(".")[0]
    assert 1 <= nearest.count("'") // 2 <= 3


@pytest.mark.parametrize("name", ["timm:resnet10t", "torchvision:resnet18"])
def test_an_option_that_the_builder_does_not_take_is_named(name):
    with pytest.raises(ModelError, match="colour"):
        load_model(name, options={"colour": "red"})


def test_an_unknown_timm_tag_is_an_error_of_the_name_not_of_the_hub():
    with pytest.raises(ModelError, match=r"could not be built.*no_such_tag"):
        load_model("timm:resnet18.no_such_tag")


def test_a_hub_that_cannot_be_reached_is_said_with_the_way_around(monkeypatch, tmp_path):
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    with pytest.raises(ModelError, match=r"hub could not be reached.*weights=FILE"):
        load_model("timm:resnet18", weights="pretrained")


def test_torchvision_without_network_is_said_with_the_way_around(monkeypatch, tmp_path):
    from urllib.error import URLError

    def refuse(*args, **kwargs):
        raise URLError("Name or service not known")

    monkeypatch.setattr("torch.hub.urlopen", refuse)
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    with pytest.raises(ModelError, match=r"torchvision:resnet18 .*hub could not be reached.*weights=FILE"):
        load_model("torchvision:resnet18", weights="pretrained")


def test_published_weights_are_not_fetched_unless_asked_for(monkeypatch):
    import timm

    asked = {}
    real = timm.create_model
    monkeypatch.setattr("timm.create_model", lambda _, **options: asked.update(options) or real("resnet10t"))
    load_model("timm:resnet10t")
    assert asked["pretrained"] is False
    load_model("timm:resnet10t", weights="pretrained")
    assert asked["pretrained"] is True


def test_a_file_of_weights_fills_the_model(tmp_path):
    source = load_model("timm:resnet10t", options={"num_classes": 3})
    save_model(source, str(tmp_path / "weights.safetensors"))
    copy = load_model("timm:resnet10t", weights=tmp_path / "weights.safetensors", options={"num_classes": 3})
    assert same(copy, source)


def test_a_missing_file_of_weights_is_said_before_the_model_is_built(monkeypatch):
    monkeypatch.setattr("timm.create_model", lambda *_, **__: pytest.fail("it was built"))
    with pytest.raises(ModelError, match=r"nowhere\.pt.*no such file"):
        load_model("timm:resnet10t", weights="nowhere.pt")


@pytest.mark.parametrize("name", ["resnet18", "timm:", ":factory", ""])
def test_a_name_without_its_kind_is_answered_with_the_kinds(name):
    with pytest.raises(ModelError, match=r"timm:NAME.*path\.py:factory"):
        load_model(name)


def test_a_missing_package_is_answered_with_the_extra(monkeypatch):
    def refuse(name):
        raise ModuleNotFoundError(f"No module named {name!r}", name=name)

    monkeypatch.setattr(extra.importlib, "import_module", refuse)
    with pytest.raises(LimbeckError, match=r"pip install 'limbeck\[vision\]'"):
        load_model("timm:resnet18")
    with pytest.raises(LimbeckError, match=r"pip install 'limbeck\[text\]'"):
        load_model("hf:bert")


def test_a_package_that_misses_one_of_its_own_needs_says_so_itself(monkeypatch):
    def refuse(name):
        raise ModuleNotFoundError("No module named 'its_dependency'", name="its_dependency")

    monkeypatch.setattr(extra.importlib, "import_module", refuse)
    with pytest.raises(ModuleNotFoundError, match="its_dependency"):
        load_model("timm:resnet18")
