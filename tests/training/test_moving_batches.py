"""What of a batch goes to the device of the training."""

import pytest
import torch
from accelerate import Accelerator
from torch.utils.data import DataLoader, TensorDataset

from limbeck.batch import Batch, KeyedRaw, move
from limbeck.context import Context
from limbeck.losses import CRD
from limbeck.training import SideBySide

KEYS = torch.tensor([[3, 0], [5, 1]])


@pytest.mark.parametrize(
    "batch", [Batch(torch.ones(2, 3), torch.zeros(2), KEYS), KeyedRaw((torch.ones(2, 3), torch.zeros(2)), KEYS)]
)
def test_the_keys_stay_on_the_cpu_where_a_cache_looks_them_up(batch):
    moved = move(batch, "meta")
    assert moved.keys is KEYS
    assert all(each.device.type == "meta" for each in (moved.raw if isinstance(moved, KeyedRaw) else moved[:2]))


def test_a_batch_without_keys_is_moved_whole():
    assert move(Batch({"x": torch.ones(2)}), "meta").inputs["x"].device.type == "meta"


def test_accelerate_leaves_moving_to_the_loop(monkeypatch):
    asked = {}
    accelerator = Accelerator(cpu=True)
    monkeypatch.setattr(accelerator, "prepare", lambda loader, **options: asked.update(options) or loader)
    loop = SideBySide.__new__(SideBySide)
    loop.accelerator, loop.seed = accelerator, 0
    loop._dealt(DataLoader(TensorDataset(torch.ones(4))), even=True)
    assert asked == {"device_placement": [False]}


def test_crd_does_not_wait_for_a_device_to_look_at_numbers():
    loss = CRD(10, 3, 3, negatives=4).train()
    on_device = KEYS.to("meta")
    loss.to("meta")
    # Asking a tensor of the meta device for its values raises.
    assert loss._numbers(Context(keys=on_device)).device.type == "meta"
