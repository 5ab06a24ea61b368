"""The command line called in the process of a test, on a pair that a file in the working directory makes."""

import sys
from pathlib import Path

from limbeck.cli.app import main

FACTORIES = """
import sys
import time
from pathlib import Path
sys.path.insert(0, {root!r})
from tests.toys import conv_net, images, loader
import torch
from torch.utils.data import DataLoader

def teacher():
    torch.manual_seed(0)
    return conv_net(8)

def student(width=3):
    return conv_net(width)

def data():
    return loader(128), loader(64, seed=5, shuffle=False)

class Slow(torch.utils.data.Dataset):
    def __init__(self):
        self.images = images(64)
    def __len__(self):
        return len(self.images)
    def __getitem__(self, place):
        if Path("slow").exists():
            time.sleep(0.01)
        return self.images[place]

def slow():
    return DataLoader(Slow(), batch_size=16, shuffle=True), loader(64, seed=5, shuffle=False)

def empty():
    return []

def one():
    return DataLoader(images(1), batch_size=16)

def words():
    return [(picture, "cat") for picture, _ in images(8)]

class Broken(Slow):
    def __getitem__(self, place):
        raise OSError(f"file {{place}} is no image")

def broken():
    return DataLoader(Broken(), batch_size=16)

def frozen():
    return conv_net(3).requires_grad_(False)

def other():
    return torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(63, 4))
"""

MODELS = ("--teacher", "my.py:teacher", "--teacher-weights", "teacher.safetensors", "--student", "my.py:student")
PAIR = (*MODELS, "--data", "my.py:data")


def factories() -> str:
    return FACTORIES.format(root=str(Path(__file__).parent.parent.parent))


def run(*words):
    """Exit code of the command line, called in this process."""
    before = sys.argv
    sys.argv = ["limbeck", *map(str, words)]
    try:
        main()
    except SystemExit as stop:
        return stop.code or 0
    finally:
        sys.argv = before
    return 0
