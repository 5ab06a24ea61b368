"""Models and data by name: what the command line and recipes write instead of Python."""

from limbeck.sources.data import Data
from limbeck.sources.datasets import load_data
from limbeck.sources.models import load_model
from limbeck.sources.normalisations import as_trained
from limbeck.sources.weights import load_weights

__all__ = ["Data", "as_trained", "load_data", "load_model", "load_weights"]
