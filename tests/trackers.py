"""Trackers that tests look into."""

import math

from accelerate.tracking import GeneralTracker
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator


class Noting(GeneralTracker):
    """Keeps what it is told."""

    name = "noting"
    requires_logging_directory = False

    def __init__(self, fails_at=math.inf):
        super().__init__()
        self.config, self.rows, self.said = {}, [], []
        self._fails_at = fails_at

    @property
    def tracker(self):
        return self.rows

    def start(self):
        self.said.append("start")

    def store_init_configuration(self, values):
        self.config = values

    def log(self, values, step=None, **_):
        if step >= self._fails_at:
            raise ConnectionError("the server is gone")
        self.rows.append((step, values))

    def finish(self):
        self.said.append("finish")


def events(folder):
    """Steps and values by name, as TensorBoard shows them."""
    found = EventAccumulator(str(folder))
    found.Reload()
    return {name: [(each.step, each.value) for each in found.Scalars(name)] for name in found.Tags()["scalars"]}
