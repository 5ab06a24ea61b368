"""Peak memory of a training, each system in a process of its own."""

from __future__ import annotations

import ctypes
import multiprocessing
import os
import re
from multiprocessing.pool import Pool
from pathlib import Path

import torch
from benchmarks.speed.case import Case
from benchmarks.speed.catalogue import SYSTEMS
from benchmarks.speed.pairs import pairs
from benchmarks.speed.systems import NotApplicable


def start_pool() -> Pool:
    """A process for each measurement, in which freed memory goes back at once: the peak is what is alive."""
    os.environ["MALLOC_MMAP_THRESHOLD_"] = os.environ["MALLOC_TRIM_THRESHOLD_"] = "65536"
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload([__name__, "torchvision", "transformers"])
    return context.Pool(1, maxtasksperchild=1)


def peak(pair: str, system: str, quick: bool) -> int | None:
    """Bytes that one pass of a system takes at most, beyond models and data; ``None`` if it cannot do the pair."""
    torch.set_num_threads(1)
    case = Case(next(each for each in pairs(quick=quick) if each.name == pair), steps=1)
    _warm(case)
    try:
        built = next(each for each in SYSTEMS if each.name == system)(case)
    except NotApplicable:
        return None
    ctypes.CDLL("libc.so.6").malloc_trim(0)
    Path("/proc/self/clear_refs").write_text("5", encoding="ascii")
    before = _status("VmRSS")
    built.train()
    return _status("VmHWM") - before


def _warm(case: Case) -> None:
    """Let torch load what it needs for a step, which is not the step's."""
    student = case.new_student()
    optimizer = torch.optim.AdamW(student.parameters(), foreach=False)
    student(case.inputs[:2]).sum().backward()
    optimizer.step()
    _ = case.targets, case.standardised


def _status(key: str) -> int:
    text = Path("/proc/self/status").read_text(encoding="ascii")
    found = re.search(rf"{key}:\s+(\d+) kB", text)
    if found is None:
        raise OSError(f"/proc/self/status has no {key}")
    return 1024 * int(found[1])
