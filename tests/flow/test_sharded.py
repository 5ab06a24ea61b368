"""A student, its terms and its teacher that fully_shard (FSDP2) has split are trained as if they were in one piece."""

import pytest

from tests.flow.test_engines import launch

SHARDED = """
    import copy, os
    import torch
    torch.set_num_threads(1)
    import torch.distributed as dist
    from torch import nn
    from torch.distributed.checkpoint.state_dict import StateDictOptions, get_model_state_dict, set_model_state_dict
    from torch.distributed.device_mesh import init_device_mesh
    from torch.distributed.fsdp import fully_shard
    from torch.distributed.tensor import DTensor
    import limbeck
    from limbeck.batch import Batch
    from limbeck.errors import ModelError, RecipeError
    from limbeck.planning import build, fit_targets

    dist.init_process_group("gloo")
    rank, mesh = dist.get_rank(), init_device_mesh("cpu", (2,))
    full = StateDictOptions(full_state_dict=True)
    auto, balanced = (
        {"mapping": {"kind": "SameDepth", "links": 3},
          "features": [{"loss": {"kind": "MSE"}, "projector": {"kind": "Linear", "ridge": 0.01}}],
          "balancer": {"kind": kind}}
        for kind in ("Fixed", "TapNorm"))

    def network(width, depth):
        blocks = [nn.Sequential(nn.Linear(width, width), nn.ReLU()) for _ in range(depth)]
        return nn.Sequential(nn.Linear(6, width), nn.LayerNorm(width), *blocks, nn.Linear(width, 3))

    def pair():
        torch.manual_seed(0)
        return network(32, 3), network(8, 2)

    x = torch.randn(64, 6, generator=torch.Generator().manual_seed(1))
    data = [(x[at : at + 16], x[at : at + 16, :3].argmax(1)) for at in range(0, 64, 16)]

    def mine(raw, share):
        # Each process its half, or all of the batch.
        return Batch(*(each[rank * 8 : rank * 8 + 8] if share else each for each in raw))

    def shard(student, distiller):
        for block in student:
            fully_shard(block, mesh=mesh)
        for part in [student, *distiller.terms, *distiller.outputs]:
            fully_shard(part, mesh=mesh)

    def trained(recipe, sharded, share=False, whole=False):
        teacher, student = pair()
        plan = limbeck.plan(teacher, student, data, recipe=recipe)
        distiller = build(plan, student, total_steps=len(data))
        if sharded:
            fully_shard(teacher, mesh=mesh)
        if sharded and not whole:
            shard(student, distiller)
        losses = []
        with limbeck.Teacher(teacher, plan.teacher_sites, answers=distiller.needs_answers) as source:
            # Projectors start at a ridge regression: they may be sharded by then, but what runs first must be the root.
            fit_targets(distiller, source, [Batch(*raw) for raw in data])
            if whole:
                fully_shard(distiller, mesh=mesh)
            optimizer = torch.optim.AdamW(distiller.parameters(), lr=0.01)
            for raw in data:
                batch = mine(raw, share)
                out = distiller(batch, source(batch))
                optimizer.zero_grad()
                out.loss.backward()
                torch.nn.utils.clip_grad_norm_(distiller.parameters(), 1.0)
                optimizer.step()
                distiller.step()
                loss = out.loss.detach().clone()
                dist.all_reduce(loss)
                losses.append(loss / 2)
        split = [isinstance(each, DTensor) for each in distiller.parameters()]
        assert all(split) if sharded else not any(split)
        return torch.stack(losses), copy.deepcopy(get_model_state_dict(distiller, options=full)), distiller

    def same(one, other):
        assert one.keys() == other.keys()
        torch.testing.assert_close(one, other, rtol=1e-4, atol=1e-5, equal_nan=True)

    # The halves of a batch that two processes see are as good as the batch, projectors included.
    for whole in (False, True):
        losses, state, _ = trained(auto, sharded=False)
        found, gathered, distiller = trained(auto, sharded=True, share=True, whole=whole)
        torch.testing.assert_close(found, losses)
        same(gathered, state)
    assert any("projector" in name for name in state)

    # A checkpoint is read by a distiller in one piece, and by one in parts.
    teacher, student = pair()
    again = build(limbeck.plan(teacher, student, data, recipe=auto), student, total_steps=4)
    again.load_state_dict(gathered)
    assert again.progress == 1.0
    set_model_state_dict(distiller, {name: each * 0 for name, each in gathered.items()}, options=full)
    assert distiller.progress == 0.0
    set_model_state_dict(distiller, gathered, options=full)
    same(get_model_state_dict(distiller, options=full), state)

    # A balancer that measures gradients within the forward needs terms that are sharded by themselves.
    losses, state, _ = trained(balanced, sharded=False)
    found, gathered, _ = trained(balanced, sharded=True)
    torch.testing.assert_close(found, losses)
    same(gathered, state)

    def refused(error, words, call):
        try:
            call()
        except error as said:
            assert words in str(said), said
        else:
            raise SystemExit(f"not refused: {words}")

    refused(RecipeError, "each of distiller.terms", lambda: trained(balanced, sharded=True, whole=True))
    teacher, student = pair()
    fully_shard(teacher, mesh=mesh)
    options = {"steps": 3, "lr": 0.02, "device": "cpu", "check_teacher": False, "progress": False}
    rows = torch.utils.data.TensorDataset(x[:45], x[:45, :3].argmax(1))
    loader = torch.utils.data.DataLoader(rows, batch_size=8)
    report = limbeck.distill(teacher, student, loader, **options)
    assert len(report.history.rows) > 0 or rank == 1
    caching = {"cache": os.environ["CACHE"], **options}
    refused(RecipeError, "A cache runs the teacher", lambda: limbeck.distill(teacher, student, loader, **caching))
    fully_shard(student, mesh=mesh)
    refused(ModelError, "Plan and build first", lambda: limbeck.plan(teacher, student, data))
    dist.barrier()
    os._exit(0)
"""


@pytest.mark.slow
def test_what_fully_shard_has_split_among_two_processes_learns_as_in_one_piece(monkeypatch, tmp_path):
    monkeypatch.setenv("CACHE", str(tmp_path))
    launch(SHARDED)
