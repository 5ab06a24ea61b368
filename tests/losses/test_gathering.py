import pytest
import torch
import torch.distributed as dist
import torch.multiprocessing as mp

from limbeck.context import Context
from limbeck.features import Feature
from limbeck.losses import CRD
from limbeck.losses.gathering import gathered


def test_one_process_keeps_its_rows_outside_of_the_graph():
    rows = torch.ones(2, 3, requires_grad=True)
    found = gathered(rows)
    assert torch.equal(found, rows)
    assert not found.requires_grad


def meet(rank: int, store: str) -> None:
    dist.init_process_group("gloo", init_method=f"file://{store}", rank=rank, world_size=2)
    # Batches of different size, as at the end of an epoch.
    assert gathered(torch.arange(2 + rank) + 10 * rank).tolist() == [0, 1, 10, 11, 12]
    torch.manual_seed(0)
    loss = CRD(8, 3, 3, negatives=None, embedding=4)
    memory = loss.teacher_memory.clone()
    keys = torch.tensor([[rank, 0], [rank + 4, 0]])
    loss(Feature(torch.ones(2, 1, 3)), Feature(torch.ones(2, 1, 3)), Context(keys=keys))
    assert (loss.teacher_memory != memory).any(1).tolist() == [True, True, False, False] * 2
    dist.destroy_process_group()


@pytest.mark.slow
def test_all_processes_remember_what_each_has_seen(tmp_path):
    mp.spawn(meet, args=(str(tmp_path / "store"),), nprocs=2)
