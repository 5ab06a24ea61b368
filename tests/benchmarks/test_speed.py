import json
import os
import subprocess
import sys

import numpy as np
import pytest
import torch
from benchmarks.speed.__main__ import HERE, PAGE
from benchmarks.speed.balancing import gradient_balancers
from benchmarks.speed.case import Case
from benchmarks.speed.catalogue import SYSTEMS
from benchmarks.speed.page import within
from benchmarks.speed.pairs import pairs
from benchmarks.speed.peers import Silverspoon, Timm, Torchdistill
from benchmarks.speed.rounds import Ratio, build, measure
from benchmarks.speed.systems import Bare, Limbeck, LimbeckCached, LimbeckLoop, NotApplicable, Student
from benchmarks.speed.ticking import UNTIMED, Clock

import limbeck

TINY, IMAGES, TEXT = pairs(quick=True)


@pytest.mark.parametrize("pair", pairs(quick=True), ids=lambda pair: pair.name)
def test_the_bare_loop_and_limbeck_have_the_same_loss_and_gradient(pair):
    case = Case(pair, steps=1)
    bare, own = Bare(case), LimbeckLoop(case)
    for linear, projector in zip(bare.projectors, own.distiller.terms, strict=True):
        linear.load_state_dict(
            {
                "weight": projector.projector.map.weight.reshape(linear.weight.shape),
                "bias": projector.projector.map.bias,
            }
        )
    inputs, labels = case.batches[0]
    with torch.no_grad():
        case.teacher(inputs)
    loss = bare.loss(bare.student(inputs), labels)
    loss.backward()
    batch = limbeck.Batch(inputs, labels)
    out = own.distiller(batch, own.source(batch))
    out.loss.backward()
    torch.testing.assert_close(loss, out.loss, rtol=1e-4, atol=1e-4)
    for mine, theirs in zip(bare.student.parameters(), own.distiller.student.parameters(), strict=True):
        torch.testing.assert_close(mine.grad, theirs.grad, rtol=1e-3, atol=1e-4)


def test_the_student_alone_learns_the_same_targets():
    case = Case(TINY, steps=1)
    bare, student = Bare(case), Student(case)
    student.projectors.load_state_dict(bare.projectors.state_dict())
    bare.train()
    student.train()
    for mine, theirs in zip(bare.learnt, student.learnt, strict=True):
        torch.testing.assert_close(mine, theirs, rtol=1e-3, atol=1e-5)


def test_a_pass_gives_the_steps_that_were_asked_for():
    built, reasons = build(Case(TINY, steps=3), [Bare, Limbeck, Timm])
    assert list(built) == ["bare", "limbeck"]
    assert "timm" in reasons
    passes = measure(built, seconds=0, least=2)
    assert all(len(each.cpu) == 2 and (each.cpu > 0).all() and (each.wall > 0).all() for each in passes.values())
    assert len(built["bare"].run().cpu) == 3


def test_a_pass_with_the_cache_never_runs_the_teacher():
    cached = LimbeckCached(Case(TINY, steps=2))
    computed, read = cached.source.uses.computed, cached.source.uses.read
    cached.run()
    assert cached.source.uses.computed == computed
    assert cached.source.uses.read - read == 2 + UNTIMED + 1


def test_a_step_lasts_from_its_batch_to_the_next():
    clock = Clock()
    clock.asked, clock.given = [(float(t), 0.0) for t in (0, 3, 6, 9, 14)], [(float(t), 0.0) for t in (1, 4, 7, 10, 15)]
    # 3 - 1 and 6 - 4 are left out; 9 - 7 and 14 - 10 remain.
    assert clock.read().wall.tolist() == [2.0, 4.0]
    assert clock.asked == []


def test_a_ratio_is_taken_within_each_round():
    ratio = Ratio.of(np.array([2.0, 30.0, 4.0]), np.array([1.0, 10.0, 1.0]))
    assert ratio.median == 3.0


def test_what_cannot_be_done_says_why():
    with pytest.raises(NotApplicable, match="timm"):
        Timm(Case(TEXT, steps=1))


def test_every_balancer_that_measures_gradients_is_timed():
    assert {"TapNorm", "GradNorm", "ConflictGate", "ConflictResolver"} <= set(gradient_balancers())
    assert "Fixed" not in gradient_balancers()


def test_balancers_above_the_limit_are_named():
    rows = [
        {"pair": "tiny", "balancer": "TapNorm", "ratio": 1.05, "quartiles": [1.0, 1.1]},
        {"pair": "tiny", "balancer": "Gate", "ratio": 1.2, "quartiles": [1.1, 1.3]},
        {"pair": "tiny", "balancer": "Missing", "reason": "cannot be imported"},
    ]
    assert within(rows).strip().endswith("Gate on tiny (1.20).")
    assert within(rows[:1]).startswith("None costs more")


@pytest.mark.parametrize("pair", [IMAGES, TEXT], ids=lambda pair: pair.name)
def test_peers_train_the_pairs_that_they_can(pair):
    built, reasons = build(Case(pair, steps=1), [Torchdistill, Timm, Silverspoon])
    assert all(len(each.run().cpu) == 1 for each in built.values())
    assert set(reasons) == ({"timm"} if pair is TEXT else set())


@pytest.mark.slow
def test_a_trial_leaves_what_was_measured_alone(tmp_path):
    files = [HERE / "summary.json", HERE / "details.json", PAGE]
    before = [path.read_bytes() for path in files]
    command = [sys.executable, "-m", "benchmarks.speed", "--quick", "--pair", TINY.name]
    environment = {**os.environ, "TMPDIR": str(tmp_path)}
    subprocess.run(command, check=True, capture_output=True, env=environment)
    assert [path.read_bytes() for path in files] == before
    (written,) = tmp_path.glob("limbeck-speed-*/summary.json")
    _check_summary(json.loads(written.read_text()))
    text = (written.parent / PAGE.name).read_text()
    assert all(f"| {TINY.name} | {name} |" in text for name in ("limbeck cached", *gradient_balancers()))


def _check_summary(summary):
    assert {(row["pair"], row["system"]) for row in summary} == {(TINY.name, system.name) for system in SYSTEMS}
    for row in summary:
        numbers = [row[key] for key in ("step_ratio", "step_ratio_to_student", "memory_ratio")]
        assert all(number is None for number in numbers) if "reason" in row else all(number > 0 for number in numbers)
    assert all(row["step_ratio"] == 1.0 for row in summary if row["system"] == "bare")
