"""The built-in loop and what it keeps."""

from limbeck.training.candidate import Candidate
from limbeck.training.divergence import Diverged
from limbeck.training.history import History
from limbeck.training.interrupt import Interrupted
from limbeck.training.run_folder import RunFolder
from limbeck.training.side_by_side import Outcome, SideBySide
from limbeck.training.trainer import Trainer

__all__ = ["Candidate", "Diverged", "History", "Interrupted", "Outcome", "RunFolder", "SideBySide", "Trainer"]
