"""The built-in loop and what it keeps."""

from limbeck.training.history import History
from limbeck.training.interrupt import Interrupted
from limbeck.training.run_folder import RunFolder
from limbeck.training.trainer import Diverged, Trainer

__all__ = ["Diverged", "History", "Interrupted", "RunFolder", "Trainer"]
