"""The pieces fit the engines that people use: compile, checkpointing, autocast, two processes."""

import copy
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest
import torch
from torch import nn
from torch.utils.checkpoint import checkpoint

from limbeck.balancers import Fixed, TapNorm
from limbeck.batch import Batch
from limbeck.distiller import Distiller, Term
from limbeck.links import FeatureSpec, Link
from limbeck.losses import MSE
from limbeck.outputs import CrossEntropy, SoftLabels
from limbeck.projectors import Linear
from limbeck.teachers import Teacher
from tests.toys import images, pair

ROOT = Path(__file__).parent.parent.parent
LINKS = (
    Link(FeatureSpec("4", "BCHW", 6, 16, (4, 4)), FeatureSpec("4", "BCHW", 16, 16, (4, 4))),
    Link(FeatureSpec("13:input", "BC", 12), FeatureSpec("13:input", "BC", 32)),
)
GROUPS = ("feature", "feature", "output", "output")


def distiller_for(student, balancer=Fixed):
    torch.manual_seed(7)
    terms = [Term(link, loss=MSE(), projector=Linear.for_link(link)) for link in LINKS]
    return Distiller(student, terms=terms, outputs=[CrossEntropy(), SoftLabels()], balancer=balancer(GROUPS))


def batch(count=8):
    inputs, targets = images(count).tensors
    return Batch(inputs, targets)


def gradients(student, *, balancer=Fixed, compiled=False):
    teacher, _ = pair()
    distiller = distiller_for(student, balancer)
    distiller.student.eval()
    with Teacher(teacher, distiller.teacher_sites) as source:
        captured = source(batch())
        step = torch.compile(distiller, backend="eager", fullgraph=False) if compiled else distiller
        step(batch(), captured).loss.backward()
    return {name: each.grad.clone() for name, each in distiller.named_parameters()}


class Checkpointed(nn.Module):
    """The same network with its middle recomputed in backward."""

    def __init__(self, net):
        super().__init__()
        self.net = net

    def forward(self, x):
        return self.net[5:](checkpoint(self.net[:5], x, use_reentrant=False))


def test_activation_checkpointing_gives_the_same_gradients():
    _, student = pair()
    plain = gradients(student)
    wrapped = Checkpointed(copy.deepcopy(student))
    torch.manual_seed(7)
    links = [Link(FeatureSpec(f"net.{link.student.site}", *_rest(link.student)), link.teacher) for link in LINKS]
    terms = [Term(link, loss=MSE(), projector=Linear.for_link(link)) for link in links]
    distiller = Distiller(wrapped, terms=terms, outputs=[CrossEntropy(), SoftLabels()], balancer=Fixed(GROUPS)).eval()
    with Teacher(pair()[0], distiller.teacher_sites) as source:
        distiller(batch(), source(batch())).loss.backward()
    for name, each in distiller.named_parameters():
        torch.testing.assert_close(each.grad, plain[name.replace("student.net.", "student.")])


def _rest(spec):
    return spec.axes, spec.channels, spec.positions, spec.grid


@pytest.mark.compiled
def test_a_compiled_student_gives_the_same_gradients_without_a_graph_break():
    plain = gradients(pair()[1])
    student = torch.compile(pair()[1], backend="eager", fullgraph=True)
    compiled = gradients(student)
    for name, each in plain.items():
        torch.testing.assert_close(compiled[name.replace("student.", "student._orig_mod.", 1)], each)


def test_bfloat16_autocast_stays_near_full_precision():
    teacher, student = pair()
    distiller = distiller_for(student).eval()
    with Teacher(teacher, distiller.teacher_sites) as source:
        full = distiller(batch(), source(batch())).loss
        with torch.autocast("cpu", torch.bfloat16):
            half = distiller(batch(), source(batch())).loss
    assert half.dtype == torch.float32
    # bfloat16 keeps eight bits: one part in 256, and some of it adds up over the layers.
    torch.testing.assert_close(half, full, rtol=0.05, atol=0.0)


def test_channels_last_gives_the_same_loss():
    teacher, student = pair()
    distiller = distiller_for(student).eval()
    with Teacher(teacher, distiller.teacher_sites) as source:
        plain = distiller(batch(), source(batch())).loss
        student.to(memory_format=torch.channels_last)
        given = batch()._replace(inputs=batch().inputs.to(memory_format=torch.channels_last))
        torch.testing.assert_close(distiller(given, source(given)).loss, plain)


def test_gradient_balancing_leaves_the_gradients_of_the_step_untouched():
    teacher, student = pair()
    distiller = distiller_for(student, TapNorm).eval()
    distiller.train()
    with Teacher(teacher, distiller.teacher_sites) as source:
        captured = source(batch())
        out = distiller(batch(), captured)
        assert all(each.grad is None for each in distiller.parameters())
        out.loss.backward()
    assert all(each.grad is not None for each in distiller.parameters())


def launch(script: str, processes: int = 2) -> None:
    """Run a script under torchrun on this machine's loopback."""
    words = [
        sys.executable,
        "-m",
        "torch.distributed.run",
        "--standalone",
        "--nproc_per_node",
        str(processes),
        "--no-python",
    ]
    code = "import sys; sys.path.insert(0, " + repr(str(ROOT)) + ")\n" + textwrap.dedent(script)
    with subprocess.Popen([*words, sys.executable, "-c", code], stderr=subprocess.PIPE, text=True) as running:
        try:
            _, said = running.communicate(timeout=200)
        except subprocess.TimeoutExpired:
            # Only a launcher that is asked to end takes along the processes that wait for each other.
            running.terminate()
            raise
    assert running.returncode == 0, said[-6000:]


DISTRIBUTED = """
    import torch, os
    torch.set_num_threads(1)
    import limbeck
    from tests.toys import loader, pair
    teacher, student = pair()
    report = limbeck.distill(teacher, student, loader(128), validation=loader(64, seed=5), recipe={recipe!r}, steps=12,
                             lr=0.02, device="cpu", check_teacher=False, progress=False, run_dir={folder!r})
    from accelerate.state import PartialState
    state = PartialState()
    assert state.num_processes == 2, state.num_processes
    flat = torch.cat([each.detach().flatten() for each in student.parameters()])
    import torch.distributed as dist
    both = [torch.zeros_like(flat) for _ in range(2)]
    dist.all_gather(both, flat)
    assert torch.equal(both[0], both[1])
    from pathlib import Path
    found = f"{{report.evaluation.metric}} {{report.evaluation.samples}}"
    Path({folder!r} + f"-rank{{state.process_index}}").write_text(found)
    dist.barrier()
    # gloo's threads now and then abort the interpreter while it shuts down; what is tested here is over by then.
    os._exit(0)
"""


@pytest.mark.slow
@pytest.mark.parametrize("recipe", ["auto", "balanced"])
def test_two_processes_stay_in_step(recipe, tmp_path):
    launch(DISTRIBUTED.format(recipe=recipe, folder=str(tmp_path / "run")))
    first, second = ((tmp_path / f"run-rank{rank}").read_text() for rank in range(2))
    # Both see the same number: the counts of both shards are added up, all 64 samples once.
    assert first == second
    assert first.endswith(" 64")
    assert (tmp_path / "run" / "report.md").exists()


TOGETHER = """
    import os, signal
    import torch
    torch.set_num_threads(1)
    import torch.distributed as dist
    from pathlib import Path
    import limbeck
    from limbeck.errors import RunError
    from limbeck.training import Candidate, Diverged, Interrupted
    from tests.toys import loader, pair
    folder = Path({folder!r})
    rank = int(os.environ["RANK"])
    said = []

    step = Candidate.step
    drawn = []

    def distill(run, act=None, **options):
        # The second process does something at its fifth step.
        count = 0

        def acting(self, batch, captured):
            nonlocal count
            count += 1
            drawn.append(torch.rand(1))
            if act and rank == 1 and count == 5:
                act(self)
            return step(self, batch, captured)

        Candidate.step = acting
        return limbeck.distill(*pair(), loader(128), validation=loader(64, seed=5), steps=12, lr=0.02, device="cpu",
                               check_teacher=False, progress=False, run_dir=folder / run, **options)

    def expect(error, run, act=None, **options):
        try:
            distill(run, act, **options)
        except error as found:
            said.append(str(found))
            return
        raise SystemExit(f"no {{error.__name__}}")

    # Only the second process is interrupted: both stop at the same step, with one checkpoint, and go on together.
    expect(Interrupted, "stopped", lambda _: os.kill(os.getpid(), signal.SIGINT))
    assert (folder / "stopped" / "checkpoint" / "state.json").is_file()
    report = distill("stopped", resume=True)
    assert report.history.rows[-1]["step"] == 12 or rank == 1

    # A folder that is taken: both fail with the same words.
    expect(RunError, "stopped")

    # The clock of the second process alone says that checkpoints are due.
    if rank == 1:
        Candidate.__init__.__kwdefaults__["save_every"] = 0.0
    drawn.clear()
    distill("clock")

    # What is drawn while training differs from process to process.
    mine = torch.cat(drawn)
    both = [torch.zeros_like(mine) for _ in range(2)]
    dist.all_gather(both, mine)
    assert not (both[0] == both[1]).any()

    # A loss that is infinite in one process only.
    expect(Diverged, "spoilt", lambda candidate: candidate.distiller.student[0].bias.data.fill_(float("nan")))

    (folder / f"rank{{rank}}").write_text("\\n".join(said))
    dist.barrier()
    os._exit(0)
"""


@pytest.mark.slow
def test_what_one_process_meets_all_processes_do(tmp_path):
    launch(TOGETHER.format(folder=str(tmp_path)))
    first, second = ((tmp_path / f"rank{rank}").read_text().splitlines() for rank in range(2))
    assert [line.split(".")[0] for line in first[:2]] == [line.split(".")[0] for line in second[:2]]
    assert "step 5 of 12" in first[0]
    assert first[1] == second[1]
    assert "earlier run" in first[1] or "finished" in first[1]
    assert "step 5 (in another process)" in first[2]
    assert "Found nan at step 5 " in second[2]


UNASKED = """
    import os
    import torch
    torch.set_num_threads(1)
    import torch.distributed as dist
    import limbeck
    from limbeck.distiller import Dropping
    from tests.toys import loader, pair
    rank = int(os.environ["RANK"])
    teacher, student = pair()
    # 37 samples in batches of 16: neither the batches nor the samples divide between two processes.
    report = limbeck.distill(teacher, student, loader(128), validation=loader(37, seed=5), recipe="rail-kd", steps=8,
                             lr=0.02, check_teacher=False, progress=False)
    flat = torch.cat([each.detach().flatten() for each in student.parameters()])
    both = [torch.zeros_like(flat) for _ in range(2)]
    dist.all_gather(both, flat)
    assert torch.equal(both[0], both[1])
    inputs, labels = loader(37, seed=5).dataset.tensors
    student.eval()
    whole = (student(inputs).argmax(1) == labels).float().mean().item()
    assert abs(report.evaluation.metric - whole) < 1e-6, (report.evaluation, whole)
    assert report.evaluation.samples == 37, report.evaluation

    # A committee leaves out the same members in both, and the answers of all that both have cached are learnt.
    factors, left_out = Dropping.factors, [[], []]

    def noting(self, step):
        left_out[rank].append(factors(self, step))
        return left_out[rank][-1]

    Dropping.factors = noting
    student = pair()[1]
    committee = limbeck.Committee([teacher, pair(seed=1)[0]], drop=0.5)
    recipe = {"outputs": [{"loss": {"kind": "SoftLabels"}}]}
    limbeck.distill(committee, student, loader(90), validation=loader(37, seed=5), recipe=recipe, steps=8, lr=0.02,
                    check_teacher=False, progress=False, cache=os.environ["CACHE"], cache_top_k=2)
    flat = torch.cat([each.detach().flatten() for each in student.parameters()])
    dist.all_gather(both, flat)
    assert torch.equal(both[0], both[1])
    dist.all_gather_object(left_out, left_out[rank])
    assert left_out[0] == left_out[1]
    assert len(set(left_out[0])) > 1, left_out
    dist.barrier()
    os._exit(0)
"""


@pytest.mark.slow
def test_processes_on_a_cpu_train_together_though_steps_leave_links_out_and_count_each_validation_sample_once(
    monkeypatch, tmp_path
):
    monkeypatch.setenv("CACHE", str(tmp_path))
    launch(UNASKED)


DEALT = """
    import os
    import torch
    torch.set_num_threads(1)
    import torch.distributed as dist
    import limbeck
    from limbeck.training import Candidate
    from torch.utils.data import DataLoader, Dataset, IterableDataset, get_worker_info
    from tests.toys import images, pair

    class Numbered(Dataset):
        # The first pixel of an image is its number.
        def __init__(self, count, seed=0):
            self.images = images(count, seed)
            for number, picture in enumerate(self.images.tensors[0]):
                picture[0, 0, 0] = number / 1000

        def __len__(self):
            return len(self.images)

        def __getitem__(self, place):
            return self.images[place]

    class Stream(IterableDataset):
        def __init__(self, data):
            self.data = data

        def __iter__(self):
            worker = get_worker_info()
            first, step = (0, 1) if worker is None else (worker.id, worker.num_workers)
            return iter([self.data[place] for place in range(first, len(self.data), step)])

    step, seen = Candidate.step, []

    def seeing(self, batch, captured):
        seen.append([round(float(each) * 1000) for each in batch.inputs[:, 0, 0, 0]])
        return step(self, batch, captured)

    Candidate.step = seeing
    workers = {{"num_workers": 2, "persistent_workers": True}}
    train, held = Numbered(90), Numbered(45, 5)
    data = {{
        "samples": lambda data: DataLoader(data, batch_size=16, shuffle=data is train, **workers),
        "stream": lambda data: DataLoader(Stream(data), batch_size=16, **workers),
        "batches": lambda data: list(DataLoader(data, batch_size=16)),
    }}[{kind!r}]
    teacher, student = pair()
    report = limbeck.distill(teacher, student, data(train), validation=data(held), steps=6, lr=0.02, device="cpu",
                             check_teacher=False, progress=False)
    flat = torch.cat([each.detach().flatten() for each in student.parameters()])
    weights, steps = [torch.zeros_like(flat) for _ in range(2)], [None, None]
    dist.all_gather(weights, flat)
    dist.all_gather_object(steps, seen)
    assert torch.equal(*weights)
    assert report.evaluation.samples == 45, report.evaluation
    # Three steps of two processes are a pass: every sample is learnt from, and few twice.
    drawn = [number for process in steps for batch in process[:3] for number in batch]
    assert set(drawn) == set(range(90)), len(set(drawn))
    assert len(drawn) <= 96
    dist.barrier()
    os._exit(0)
"""


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["samples", "stream", "batches"])
def test_two_processes_share_samples_streams_of_workers_and_lists(kind):
    launch(DEALT.format(kind=kind))
