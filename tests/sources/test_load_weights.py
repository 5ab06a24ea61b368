import json

import pytest
import torch
from safetensors.torch import save_file
from torch import nn

from limbeck.errors import ModelError
from limbeck.sources import load_weights


class Tied(nn.Module):
    def __init__(self):
        super().__init__()
        self.embedding = nn.Embedding(5, 3)
        self.head = nn.Linear(3, 5, bias=False)
        self.head.weight = self.embedding.weight


def net():
    return nn.Sequential(nn.Linear(2, 3), nn.BatchNorm1d(3))


def same(model, other):
    return all(torch.equal(a, b) for a, b in zip(model.state_dict().values(), other.state_dict().values(), strict=True))


@pytest.mark.parametrize("suffix", [".pt", ".pth", ".bin", ".ckpt"])
@pytest.mark.parametrize("key", [None, "state_dict", "model"])
def test_state_dicts_are_read_from_every_usual_file(tmp_path, suffix, key):
    source, copy = net(), net()
    state = source.state_dict()
    torch.save(state if key is None else {"epoch": 7, key: state}, tmp_path / f"w{suffix}")
    load_weights(copy, tmp_path / f"w{suffix}")
    assert same(copy, source)


def test_safetensors_are_read(tmp_path):
    source, copy = net(), net()
    save_file(source.state_dict(), tmp_path / "w.safetensors")
    load_weights(copy, str(tmp_path / "w.safetensors"))
    assert same(copy, source)


@pytest.mark.parametrize("prefix", ["module.", "_orig_mod.", "module._orig_mod."])
def test_the_prefix_of_a_wrapper_is_taken_off(tmp_path, prefix):
    source, copy = net(), net()
    torch.save({prefix + name: tensor for name, tensor in source.state_dict().items()}, tmp_path / "w.pt")
    load_weights(copy, tmp_path / "w.pt")
    assert same(copy, source)


def test_a_model_whose_own_names_begin_with_module_keeps_them(tmp_path):
    source, copy = nn.ModuleDict({"module": nn.Linear(2, 2)}), nn.ModuleDict({"module": nn.Linear(2, 2)})
    torch.save(source.state_dict(), tmp_path / "w.pt")
    load_weights(copy, tmp_path / "w.pt")
    assert same(copy, source)


def test_shards_are_put_together(tmp_path):
    source, copy = net(), net()
    state = source.state_dict()
    names = list(state)
    parts = {"a.safetensors": names[:2], "b.safetensors": names[2:]}
    for file, inside in parts.items():
        save_file({name: state[name] for name in inside}, tmp_path / file)
    index = {"weight_map": {name: file for file, inside in parts.items() for name in inside}}
    (tmp_path / "model.safetensors.index.json").write_text(json.dumps(index))
    load_weights(copy, tmp_path)
    assert same(copy, source)


def test_an_index_that_points_out_of_its_folder_is_refused(tmp_path):
    (tmp_path / "model.safetensors.index.json").write_text(json.dumps({"weight_map": {"x": "../x.safetensors"}}))
    with pytest.raises(ModelError, match=r"own folder.*\.\./x"):
        load_weights(net(), tmp_path)


def test_a_tied_weight_that_is_stored_once_is_not_missing(tmp_path):
    source, copy = Tied(), Tied()
    save_file({"embedding.weight": source.embedding.weight.detach()}, tmp_path / "w.safetensors")
    load_weights(copy, tmp_path / "w.safetensors")
    assert torch.equal(copy.head.weight, source.embedding.weight)
    assert copy.head.weight is copy.embedding.weight


def test_missing_unexpected_and_differently_shaped_weights_are_all_named(tmp_path):
    state = net().state_dict()
    state["0.weight"] = torch.zeros(9, 2)
    state["stranger"] = torch.zeros(1)
    del state["1.running_mean"]
    save_file(state, tmp_path / "w.safetensors")
    model = net()
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    with pytest.raises(ModelError) as caught:
        load_weights(model, tmp_path / "w.safetensors")
    message = str(caught.value)
    assert "1 names are missing in the file (1.running_mean)" in message
    assert "1 are not in the model (stranger)" in message
    assert "0.weight is [3, 2] in the model, [9, 2] in the file" in message
    assert all(torch.equal(tensor, before[name]) for name, tensor in model.state_dict().items())


class Bomb:
    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return open, (self.path, "w")


def test_a_file_that_would_run_code_is_refused_and_runs_none(tmp_path):
    torch.save({"state_dict": net().state_dict(), "extra": Bomb(str(tmp_path / "ran"))}, tmp_path / "w.pt")
    with pytest.raises(ModelError, match="must hold tensors only"):
        load_weights(net(), tmp_path / "w.pt")
    assert not (tmp_path / "ran").exists()


@pytest.mark.parametrize(
    ("content", "complaint"),
    [
        ([1, 2], "must hold a state dict. Found list"),
        ({"epoch": 3}, "Found int under 'epoch'"),
        ({}, "must hold a state dict"),
    ],
    ids=["list", "number", "empty"],
)
def test_a_file_without_a_state_dict_is_refused(tmp_path, content, complaint):
    torch.save(content, tmp_path / "w.pt")
    with pytest.raises(ModelError, match=complaint):
        load_weights(net(), tmp_path / "w.pt")


@pytest.mark.parametrize("name", ["w.safetensors", "w.pt"])
def test_a_damaged_file_is_an_error_that_names_it(tmp_path, name):
    (tmp_path / name).write_bytes(b"not what the name says")
    with pytest.raises(ModelError, match=name):
        load_weights(net(), tmp_path / name)


def test_another_kind_of_file_is_refused(tmp_path):
    (tmp_path / "w.h5").write_bytes(b"")
    with pytest.raises(ModelError, match=r"\.safetensors, \.pt"):
        load_weights(net(), tmp_path / "w.h5")


def test_a_folder_without_weights_is_refused(tmp_path):
    with pytest.raises(ModelError, match=r"holds no weights.*model\.safetensors"):
        load_weights(net(), tmp_path)
