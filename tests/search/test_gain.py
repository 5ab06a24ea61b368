"""When a rival is taken for better than the default."""

import math

import pytest
import torch

from limbeck.search.gain import PRIORS, SURE, Prior, chance_of_gain


def answers(better: int, worse: int, of: int) -> torch.Tensor:
    return torch.cat([torch.ones(better), -torch.ones(worse), torch.zeros(of - better - worse)])


def test_the_chance_is_that_of_the_normal_posterior():
    gains, prior = answers(30, 10, 400), Prior(-0.02, 0.03)
    variance = gains.var().item() / 400 + 2 * 0.005**2
    precision = 1 / variance + 1 / 0.03**2
    mean = (0.05 / variance - 0.02 / 0.03**2) / precision
    expected = 0.5 * (1 + math.erf(mean * math.sqrt(precision / 2)))
    assert chance_of_gain(gains, prior) == pytest.approx(expected, abs=1e-6)


def test_no_difference_is_an_even_chance_and_less_where_the_rival_is_seldom_better():
    even = answers(10, 10, 200)
    assert chance_of_gain(even, None) == pytest.approx(0.5)
    assert chance_of_gain(even, PRIORS["soft-labels"]) < 0.5


def test_the_same_lead_convinces_on_many_answers_and_not_on_few():
    few, many = answers(3, 1, 40), answers(150, 50, 2000)
    assert chance_of_gain(few, PRIORS["soft-labels"]) < SURE < chance_of_gain(many, PRIORS["soft-labels"])


def test_a_single_answer_and_answers_that_are_all_alike_are_no_error():
    assert 0.5 < chance_of_gain(torch.ones(1), None) < 1
    assert chance_of_gain(torch.zeros(5), None, seeds=0.0) == 0.0
    assert chance_of_gain(torch.ones(5), None, seeds=0.0) == 1.0
