"""What it costs to import limbeck and to ask it for help."""

from __future__ import annotations

import os
import subprocess
import sys

_IMPORTED = """
import time, torch
before = time.process_time()
import limbeck
print(time.process_time() - before)
limbeck.distill
print(time.process_time() - before)
"""


def start_up(*, repeats: int) -> dict[str, float]:
    """Seconds of the processor that importing takes beyond torch, and that ``limbeck --help`` takes in all.

    Of several measurements the shortest: what else a machine does only makes them longer.
    """
    imports = [[float(each) for each in _run("-c", _IMPORTED)[0].split()] for _ in range(repeats)]
    imported, named = map(min, zip(*imports, strict=True))
    helps = [_run("-m", "limbeck", "--help")[1] for _ in range(repeats)]
    return {
        "import limbeck": round(imported, 4),
        "import limbeck and name limbeck.distill": round(named, 4),
        "limbeck --help": round(min(helps), 4),
    }


def _run(*arguments: str) -> tuple[str, float]:
    """What a child process prints, and the processor's seconds that it takes."""
    before = os.times()
    done = subprocess.run([sys.executable, *arguments], check=True, capture_output=True, text=True)
    after = os.times()
    return done.stdout, after.children_user + after.children_system - before.children_user - before.children_system
