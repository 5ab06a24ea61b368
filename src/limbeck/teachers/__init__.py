"""Sources of the teacher's features."""

from limbeck.teachers.feature_source import FeatureSource
from limbeck.teachers.live import Teacher

__all__ = ["FeatureSource", "Teacher"]
