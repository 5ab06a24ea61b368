"""Sources of the teacher's features."""

from limbeck.teachers.committee import Committee
from limbeck.teachers.feature_source import FeatureSource
from limbeck.teachers.live import Teacher
from limbeck.teachers.renormalised import Normalisation, Renormalised

__all__ = ["Committee", "FeatureSource", "Normalisation", "Renormalised", "Teacher"]
