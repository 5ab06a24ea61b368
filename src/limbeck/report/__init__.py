"""What a run was worth."""

from limbeck.report.report import Report

__all__ = ["Report"]
