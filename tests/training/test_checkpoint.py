"""The state of an unfinished training is never lost and never read by running code."""

import os
import signal

import pytest
import torch
from torch import nn

from limbeck.balancers import Fixed
from limbeck.distiller import Distiller
from limbeck.errors import RunError
from limbeck.outputs import CrossEntropy
from limbeck.recipe import Settings
from limbeck.training import History, Interrupted, Trainer
from limbeck.training.accelerating import make_accelerator
from limbeck.training.checkpoint import Checkpoint
from limbeck.training.length import Length
from limbeck.training.metrics import accuracy
from limbeck.training.state import State
from tests.toys import conv_net, loader


class Counting(nn.Module):
    """Keeps a state that is no tensor, as quantisers and tokenisers do."""

    def __init__(self, net):
        super().__init__()
        self.net, self.seen = net, 0

    def forward(self, x):
        self.seen += self.training
        return self.net(x)

    def get_extra_state(self):
        return {"seen": self.seen, "of": ["images"]}

    def set_extra_state(self, state):
        self.seen = state["seen"]


def trainer(student, folder, *, stop_at=None, **settings):
    chosen = Settings(steps=12, evaluations=6, **settings)
    distiller = Distiller(student, outputs=[CrossEntropy()], balancer=Fixed(["output"], output=1.0))
    training = Trainer(
        distiller, None, settings=chosen, lr=0.02, length=Length.of(chosen, 6), metric=accuracy, label=None,
        checkpoint=folder, save_every=0.0, history=History(folder.with_suffix(".jsonl")),
    )  # fmt: skip
    step, training.done = distiller.step, 0

    def counted():
        training.done += 1
        if training.done == stop_at:
            raise KeyboardInterrupt
        step()

    distiller.step = counted
    return training


@pytest.mark.parametrize("ema", [None, 0.9])
def test_a_module_with_a_state_that_is_no_tensor_is_saved_averaged_and_resumed(tmp_path, ema):
    def student():
        torch.manual_seed(0)
        return Counting(conv_net(3))

    whole = student()
    trainer(whole, tmp_path / "whole", ema=ema).fit(loader(), loader(64, seed=5))
    with pytest.raises(KeyboardInterrupt):
        trainer(student(), tmp_path / "cut", ema=ema, stop_at=8).fit(loader(), loader(64, seed=5))
    resumed = student()
    trainer(resumed, tmp_path / "cut", ema=ema).fit(loader(), loader(64, seed=5), resume=True)
    assert resumed.seen == whole.seen > 0
    for name, value in whole.net.state_dict().items():
        assert torch.equal(value, resumed.net.state_dict()[name])


class Growing(nn.Module):
    """Keeps tensors that its state dict leaves out: one moves with every batch, one grows with the largest."""

    def __init__(self, net):
        super().__init__()
        self.net = net
        self.register_buffer("level", torch.zeros(()), persistent=False)
        self.register_buffer("table", torch.zeros(1), persistent=False)

    def forward(self, x):
        if self.training:
            self.level += 0.1 * x.mean()
            self.table = torch.arange(len(x), dtype=torch.float32) + self.level
        return self.net(x) * (1.0 + self.level) + self.table[-1]


def test_buffers_that_no_state_dict_has_are_resumed_too(tmp_path):
    def student():
        torch.manual_seed(0)
        return Growing(conv_net(3))

    whole = student()
    trainer(whole, tmp_path / "whole").fit(loader(), loader(64, seed=5))
    with pytest.raises(KeyboardInterrupt):
        trainer(student(), tmp_path / "cut", stop_at=8).fit(loader(), loader(64, seed=5))
    resumed = student()
    trainer(resumed, tmp_path / "cut").fit(loader(), loader(64, seed=5), resume=True)
    for one, other in zip(whole.buffers(), resumed.buffers(), strict=True):
        assert torch.equal(one, other)
    for name, value in whole.state_dict().items():
        assert torch.equal(value, resumed.state_dict()[name])


def test_resuming_without_a_checkpoint_begins_the_history_anew(tmp_path):
    with pytest.raises(KeyboardInterrupt):
        trainer(conv_net(3), tmp_path / "c", stop_at=2).fit(loader())
    file = tmp_path / "c.jsonl"
    file.write_text(file.read_text() + '{"step": 2, "lo')
    training = trainer(conv_net(3), tmp_path / "c")
    training.history = History.read(file)
    training.fit(loader(), resume=True)
    steps = [row["step"] for row in History.read(file)]
    assert steps == [1, 2, 4, 6, 8, 10, 12]


@pytest.fixture
def saved(tmp_path):
    """A checkpoint of a prepared model, and the state that is in it."""
    accelerator = make_accelerator(Settings(), "cpu")
    student = accelerator.prepare(nn.Linear(2, 2))
    state = State(student)
    checkpoint = Checkpoint(tmp_path / "checkpoint", accelerator)
    state.step = 5
    checkpoint.save(state)
    yield checkpoint, state
    accelerator.free_memory()


def test_the_old_checkpoint_stays_until_the_new_one_is_in_its_place(saved, monkeypatch):
    checkpoint, state = saved
    # As after a crash between the two renames: the whole checkpoint lies under the old name.
    checkpoint.path.rename(checkpoint._old)
    assert checkpoint.exists()
    state.step = 7
    whole = []
    monkeypatch.setattr(
        type(checkpoint.path), "rename", lambda self, target: whole.append(checkpoint.exists()) or self.replace(target)
    )
    checkpoint.save(state)
    assert all(whole)
    assert whole
    found = State(nn.Linear(2, 2))
    checkpoint.load(found)
    assert found.step == 7
    assert not checkpoint._old.exists()


def test_a_checkpoint_that_would_run_code_is_refused(saved):
    checkpoint, _ = saved
    torch.save({"evil": nn.Linear(1, 1)}, checkpoint.path / "best.pt")
    with pytest.raises(RunError, match="cannot be read"):
        checkpoint.load(State(nn.Linear(2, 2)))


def test_ctrl_c_is_an_interruption_that_says_where_the_state_is(tmp_path):
    training = trainer(conv_net(3), tmp_path / "run" / "checkpoint")
    training.history = History()
    step = training.distiller.step
    training.distiller.step = lambda: (os.kill(os.getpid(), signal.SIGINT), step())
    (tmp_path / "run").mkdir()
    with pytest.raises(Interrupted, match="step 1 of 12.*run"):
        training.fit(loader())
    assert (tmp_path / "run" / "checkpoint" / "state.json").is_file()
