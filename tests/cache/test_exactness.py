import torch

from limbeck.cache.exactness import ExactnessMeter


def test_numbers_are_those_of_all_batches_together():
    """Against the same numbers computed at once."""
    torch.manual_seed(0)
    values = torch.randn(100, 4) * torch.tensor([1.0, 10.0, 0.1, 5.0]) + 3
    noise = torch.randn(100, 4) * torch.tensor([0.01, 0.01, 0.08, 0.01])
    meter = ExactnessMeter(4)
    for start in (0, 30):
        part = slice(start, 30 if start == 0 else 100)
        meter.add(values[part], (values + noise)[part])
    each = noise.square().mean(0).sqrt() / values.std(0, correction=0)
    found = meter.found
    assert found.channel == 2
    assert abs(found.worst - each[2].item()) < 1e-4
    assert abs(found.error - (noise.square().mean().sqrt() / values.std(correction=0)).item()) < 1e-4
    assert (found.lost, found.channels) == (1, 4)


def test_errors_are_measured_in_the_deviations_of_all_that_was_seen():
    """A channel that happens to be constant in the few samples that are measured is not lost for that."""
    meter = ExactnessMeter(1)
    meter.see(torch.tensor([[0.0], [4.0]]))
    meter.add(torch.tensor([[4.0], [4.0]]), torch.tensor([[4.01], [4.01]]))
    assert meter.found.lost == 0
    assert abs(meter.found.worst - 0.01 / 3**0.5) < 1e-6  # the deviation of 0, 4, 4, 4


def test_a_channel_that_is_constant_and_comes_back_is_exact():
    meter = ExactnessMeter(2)
    values = torch.tensor([[1000.0, 0.0], [1000.0, 1.0]])
    meter.add(values, values)
    assert meter.found == (0.0, 0.0, 0, 0, 2)
