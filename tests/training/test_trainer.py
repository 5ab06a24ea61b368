"""The built-in loop: it learns, it stops, it resumes to the last bit."""

import os
import random
import signal
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn
from torch.utils.data import DataLoader, Dataset

from limbeck.balancers import Fixed, TapNorm
from limbeck.distiller import Distiller, Term
from limbeck.links import FeatureSpec, Link
from limbeck.losses import MSE, SimilarityPreserving
from limbeck.outputs import CrossEntropy
from limbeck.projectors import Linear
from limbeck.randomness import own_randomness, seed_all
from limbeck.recipe import Settings
from limbeck.schedules import FeaturesFirst
from limbeck.teachers import Teacher
from limbeck.training import Diverged, History, Interrupted, Trainer
from limbeck.training.length import Length
from limbeck.training.metrics import accuracy
from tests.toys import conv_net, loader, pair, trained

LINK = Link(FeatureSpec("11", "BC", 12), FeatureSpec("11", "BC", 32))


def distilling(student, steps=20, **options):
    term = Term(LINK, loss=options.pop("loss", MSE()), projector=Linear.for_link(LINK))
    balancer = options.pop("balancer", TapNorm)(["feature", "output"])
    return Distiller(
        student,
        terms=[term],
        outputs=[CrossEntropy()],
        balancer=balancer,
        schedule=FeaturesFirst(share=0.3),
        total_steps=steps,
    )


def trainer(distiller, source, steps=20, *, evaluations=4, checkpoint=None, lr=0.01, **settings):
    chosen = Settings(steps=steps, evaluations=evaluations, **settings)
    return Trainer(
        distiller, source, settings=chosen, lr=lr, length=Length.of(chosen, 6), metric=accuracy, label=None,
        checkpoint=checkpoint, save_every=0.0, history=History(),
    )  # fmt: skip


class Noisy(Dataset):
    """Images with augmentation drawn from all three generators, as real pipelines do."""

    def __init__(self):
        self.images, self.labels = loader(96).dataset.tensors

    def __len__(self):
        return 96

    def __getitem__(self, index):
        noise = 0.1 * torch.randn(1, 8, 8) + 0.1 * random.random() + 0.1 * float(np.random.rand())
        return self.images[index] + noise, self.labels[index]


def noisy():
    return DataLoader(Noisy(), batch_size=16, shuffle=True)


def test_training_brings_the_student_from_chance_to_mastery():
    teacher, student = pair()
    trained(teacher)
    distiller = distilling(student, 120, balancer=Fixed)
    with Teacher(teacher, distiller.teacher_sites) as source:
        found = trainer(distiller, source, 120, lr=0.02).fit(loader(), loader(64, seed=5))
    # Four classes, so chance is 0.25.
    assert found.metric > 0.7


def test_the_student_ends_with_the_weights_of_its_best_evaluation():
    _, student = pair()
    distiller = Distiller(student, outputs=[CrossEntropy()], balancer=Fixed(["output"], output=1.0))
    held = loader(64, seed=5, shuffle=False)
    run = trainer(distiller, None, 40, lr=0.02, evaluations=20)
    best = run.fit(loader(), held)
    student.eval()
    with torch.no_grad():
        right = torch.cat([accuracy(student(inputs), targets) for inputs, targets in held])
    assert right.mean().item() == pytest.approx(best.metric)
    assert best.metric == max(value for _, value in run.history.column("validation"))


def test_a_resumed_training_equals_an_uninterrupted_one_to_the_last_bit(tmp_path):
    def run(stop_at):
        teacher, student = pair()
        distiller = distilling(student, 20)
        with Teacher(teacher, distiller.teacher_sites) as source:
            training = trainer(distiller, source, 20, checkpoint=tmp_path / f"c{stop_at}", ema=0.9)
            if stop_at is not None:
                training.distiller.step = stopping(training.distiller.step, stop_at)
                with pytest.raises(Interrupted):
                    training.fit(noisy(), loader(64, seed=5))
                # A new process would start like this: fresh weights, fresh distiller, the checkpoint on disk.
                teacher, student = pair(seed=99)
                teacher.load_state_dict(pair()[0].state_dict())
                distiller = distilling(student, 20)
                with Teacher(teacher, distiller.teacher_sites) as again:
                    training = trainer(distiller, again, 20, checkpoint=tmp_path / f"c{stop_at}", ema=0.9)
                    torch.manual_seed(12345)
                    training.fit(noisy(), loader(64, seed=5), resume=True)
            else:
                training.fit(noisy(), loader(64, seed=5))
        return {**student.state_dict(), **{f"terms.{k}": v for k, v in distiller.terms.state_dict().items()}}

    def stopping(step, at):
        count = 0

        def counted():
            nonlocal count
            count += 1
            if count == at:
                os.kill(os.getpid(), signal.SIGINT)
            step()

        return counted

    whole = run(None)
    # 8 steps are one pass of 6 batches and 2 of the next: the resume is in the middle of a pass.
    resumed = run(8)
    assert whole.keys() == resumed.keys()
    assert all(torch.equal(whole[name], resumed[name]) for name in whole)


def test_a_killed_training_resumes_from_its_last_whole_checkpoint(tmp_path):
    script = textwrap.dedent(f"""
        import sys, time
        sys.path.insert(0, {str(Path(__file__).parent.parent.parent)!r})
        from tests.training.test_trainer import *
        teacher, student = pair()
        distiller = distilling(student, 120)
        with Teacher(teacher, distiller.teacher_sites) as source:
            path = Path({str(tmp_path / "checkpoint")!r})
            training = trainer(distiller, source, 120, evaluations=30, checkpoint=path)
            training.fit(loader(), loader(64, seed=5), resume=len(sys.argv) > 1)
        print("finished at", training.history.rows[0]["step"], training.history.rows[-1]["step"])
    """)
    process = subprocess.Popen([sys.executable, "-c", script])
    state = tmp_path / "checkpoint" / "state.json"
    for _ in range(600):
        if state.exists() or process.poll() is not None:
            break
        time.sleep(0.05)
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert state.exists() or (tmp_path / "checkpoint.old" / "state.json").exists()
    done = subprocess.run([sys.executable, "-c", script, "resume"], capture_output=True, text=True, check=True)
    first, last = map(int, done.stdout.split()[-2:])
    assert first > 1
    assert last == 120


def test_the_callers_generators_are_given_back():
    def drawn():
        return torch.rand(1).item(), random.random(), float(np.random.rand())

    seed_all(3)
    expected = drawn()
    seed_all(3)
    with own_randomness():
        seed_all(4, 5)
        assert drawn() != expected
    assert drawn() == expected


def test_training_draws_nothing_from_the_callers_generators():
    _, student = pair()
    distiller = Distiller(student, outputs=[CrossEntropy()], balancer=Fixed(["output"], output=1.0))
    seed_all(3)
    expected = torch.rand(1)
    seed_all(3)
    trainer(distiller, None, 3).fit(loader())
    assert torch.equal(torch.rand(1), expected)


def test_two_accumulated_half_batches_equal_one_whole_batch():
    def run(batch_size, accumulate):
        torch.manual_seed(0)
        student = nn.Sequential(nn.Flatten(), nn.Linear(64, 4))
        distiller = Distiller(student, outputs=[CrossEntropy()], balancer=Fixed(["output"], output=1.0))
        training = trainer(distiller, None, 6, accumulate=accumulate, optimizer="SGD", clip=None, weight_decay=0.0)
        training.fit(loader(batch_size=batch_size, shuffle=False))
        return student[1].weight

    torch.testing.assert_close(run(16, 1), run(8, 2), atol=1e-6, rtol=1e-5)


def test_training_stops_when_validation_no_longer_improves():
    _, student = pair()
    distiller = Distiller(student, outputs=[CrossEntropy()], balancer=Fixed(["output"], output=1.0))
    # A rate of zero never improves: the first look is the best, two more exhaust the patience.
    run = trainer(distiller, None, 100, lr=0.0, evaluations=50, patience=2)
    run.fit(loader(), loader(64, seed=5))
    assert run.history.rows[-1]["step"] == 6


def test_a_diverging_loss_is_said_with_the_step_and_the_rate():
    _, student = pair()
    distiller = Distiller(student, outputs=[CrossEntropy()], balancer=Fixed(["output"], output=1.0))
    with torch.no_grad():
        student[0].weight.fill_(float("nan"))
    with pytest.raises(Diverged, match="lr=0.01"):
        trainer(distiller, None, 5).fit(loader())


def test_batches_too_small_for_a_loss_are_left_out():
    teacher, student = pair()
    distiller = distilling(student, 8, loss=SimilarityPreserving())
    with Teacher(teacher, distiller.teacher_sites) as source:
        # 49 samples in batches of 16 leave a last batch of one.
        run = trainer(distiller, source, 8)
        run.fit(loader(49))
    assert run.history.rows[-1]["step"] == 8


def test_without_validation_the_student_ends_as_the_average_of_its_steps():
    _, student = pair()
    distiller = Distiller(student, outputs=[CrossEntropy()], balancer=Fixed(["output"], output=1.0))
    seen = []
    step = distiller.step
    distiller.step = lambda: (seen.append(student[0].weight.detach().clone()), step())
    trainer(distiller, None, 10, lr=0.05, ema=0.9).fit(loader())
    # The moving average written out: it begins with the weights after the first step.
    average = seen[0]
    for weight in seen[1:]:
        average = 0.9 * average + 0.1 * weight
    torch.testing.assert_close(student[0].weight, average)


def test_frozen_parameters_stay_and_nothing_trainable_is_an_error():
    _, student = pair()
    student[0].requires_grad_(False)
    before = student[0].weight.clone()
    distiller = Distiller(student, outputs=[CrossEntropy()], balancer=Fixed(["output"], output=1.0))
    trainer(distiller, None, 5).fit(loader())
    assert torch.equal(student[0].weight, before)
    student.requires_grad_(False)
    with pytest.raises(ValueError, match="requires_grad=False"):
        trainer(distiller, None, 5).fit(loader())


def test_nothing_outlives_its_step():
    import gc

    student = conv_net(3)
    teacher = conv_net(8)
    distiller = distilling(student, 24, balancer=Fixed)
    counts = []

    class Counting(History):
        def add(self, **row):
            super().add(**row)
            gc.collect()
            counts.append(sum(1 for each in gc.get_objects() if torch.is_tensor(each)))

    with Teacher(teacher, distiller.teacher_sites) as source:
        run = trainer(distiller, source, 24, evaluations=12)
        run.history = Counting()
        run.fit(loader())
    assert max(counts[5:]) <= counts[4] + 2
