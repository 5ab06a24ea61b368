"""Reading a network: which sites it has, what shape they are, and what they compute on a batch."""

from limbeck.capture.anatomy import Anatomy
from limbeck.capture.capture import Capture, Captured
from limbeck.capture.probe import probe

__all__ = ["Anatomy", "Capture", "Captured", "probe"]
