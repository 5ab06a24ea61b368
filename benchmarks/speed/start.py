"""What it costs to import limbeck, to ask it for help, and to let it plan."""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import time
from typing import Any

from benchmarks.speed.case import Case
from benchmarks.speed.ticking import Clock

import limbeck

_IMPORTED = """
import time, torch
before = time.process_time()
import limbeck
limbeck.distill
print(time.process_time() - before)
"""


def start_up(*, repeats: int) -> dict[str, float]:
    """Seconds of the processor that importing takes beyond torch, and that ``limbeck --help`` takes in all."""
    imports = [float(_run("-c", _IMPORTED)[0]) for _ in range(repeats)]
    bare = [float(_run("-c", _IMPORTED.replace("limbeck.distill", ""))[0]) for _ in range(repeats)]
    helps = [_run("-m", "limbeck", "--help")[1] for _ in range(repeats)]
    return {
        "import limbeck": round(statistics.median(bare), 4),
        "import limbeck and name limbeck.distill": round(statistics.median(imports), 4),
        "limbeck --help": round(statistics.median(helps), 4),
    }


def planning(case: Case) -> dict[str, Any]:
    """Seconds of the processor that ``limbeck.plan`` takes with the default recipe."""
    before = time.process_time()
    limbeck.plan(case.teacher, case.new_student(), case.loader(Clock()))
    return {"pair": case.pair.name, "seconds": round(time.process_time() - before, 3)}


def _run(*arguments: str) -> tuple[str, float]:
    """What a child process prints, and the processor's seconds that it takes."""
    before = os.times()
    done = subprocess.run([sys.executable, *arguments], check=True, capture_output=True, text=True)
    after = os.times()
    return done.stdout, after.children_user + after.children_system - before.children_user - before.children_system
