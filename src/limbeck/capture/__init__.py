"""Reading a network: which sites it has, what shape they are, and what they compute on a batch."""

from limbeck.capture.capture import Capture, Captured

__all__ = ["Capture", "Captured"]
