import time

import pytest
import torch
from safetensors.torch import save_file
from torch import nn

from limbeck.errors import LimbeckError
from limbeck.report.measure import file_bytes, latencies, latency, parameters


class Sleeper(nn.Module):
    def __init__(self, per_sample):
        super().__init__()
        self.per_sample = per_sample
        self.calls = []

    def forward(self, x):
        self.calls.append((len(x), self.training, torch.is_grad_enabled()))
        time.sleep(self.per_sample * len(x))
        return x


def test_shared_parameters_are_counted_once():
    first = nn.Linear(4, 4)
    second = nn.Linear(4, 4)
    second.weight = first.weight
    assert parameters(nn.Sequential(first, second)) == 16 + 4 + 4


@pytest.mark.parametrize(
    "model",
    [
        nn.Sequential(nn.Conv2d(3, 8, 3), nn.BatchNorm2d(8), nn.Linear(8, 2)),
        nn.Linear(7, 3).half(),
        nn.Linear(7, 3).to(torch.bfloat16),
        nn.Linear(7, 3).double(),
        nn.Sequential(*[nn.Linear(3, 3) for _ in range(12)]),
    ],
    ids=["batch norm", "half", "bfloat", "double", "deep"],
)
def test_the_size_is_that_of_the_file(tmp_path, model):
    save_file(model.state_dict(), tmp_path / "weights.safetensors", metadata={"format": "pt"})
    assert file_bytes(model) == (tmp_path / "weights.safetensors").stat().st_size


def test_shared_tensors_are_stored_once():
    first = nn.Linear(64, 64, bias=False)
    second = nn.Linear(64, 64, bias=False)
    second.weight = first.weight
    assert 64 * 64 * 4 < file_bytes(nn.Sequential(first, second)) < 64 * 64 * 4 + 200


def test_a_call_that_takes_known_time_is_measured_in_milliseconds():
    assert 4.0 <= latency(Sleeper(0.001), torch.zeros(4, 1), repeats=5) < 40.0


def test_a_batch_of_one_is_cut_from_the_inputs():
    model = Sleeper(0.0)
    latency(model, torch.zeros(4, 1), batch=1, repeats=2)
    assert {size for size, _, _ in model.calls} == {1}


def test_every_tensor_of_a_dict_is_cut():
    class Keywords(nn.Module):
        def forward(self, tokens, mask):
            sizes.add((len(tokens), len(mask)))
            return tokens

    sizes = set()
    latency(Keywords(), {"tokens": torch.zeros(4, 2), "mask": torch.ones(4, 2), "row": 3}, batch=2, repeats=1)
    assert sizes == {(2, 2)}


def test_a_model_is_measured_in_evaluation_without_gradients_and_left_in_its_modes():
    model = nn.Sequential(Sleeper(0.0), nn.Dropout())
    model.train()
    model[1].eval()
    latency(model, torch.zeros(2, 1), repeats=1)
    assert {call[1:] for call in model[0].calls} == {(False, False)}
    assert [each.training for each in model.modules()] == [True, True, False]


def test_several_models_take_turns():
    order = []

    class Named(nn.Module):
        def __init__(self, name):
            super().__init__()
            self.name = name

        def forward(self, x):
            order.append(self.name)
            return x

    latencies({name: Named(name) for name in "abc"}, torch.zeros(1), repeats=3)
    rounds = ["".join(order[at : at + 3]) for at in range(0, len(order), 3)]
    assert rounds[-3:] == ["abc", "bca", "cab"]


def test_more_samples_than_there_are_and_no_repeats_are_refused():
    with pytest.raises(LimbeckError, match=r"batch of 5 needs that many samples\. Found 2"):
        latency(nn.Identity(), torch.zeros(2, 1), batch=5)
    with pytest.raises(LimbeckError, match="repeats=0"):
        latency(nn.Identity(), torch.zeros(2, 1), repeats=0)
