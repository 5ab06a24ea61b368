import torch

from limbeck.balancers import RLW

GROUPS = ("feature", "output", "output")


def drawn(balancer: RLW, steps: int) -> torch.Tensor:
    found = []
    for _ in range(steps):
        found.append(balancer(torch.ones(3)).weights)
        balancer.step(torch.ones(3))
    return torch.stack(found)


def test_weights_are_shares_of_one_and_change_at_every_step():
    weights = drawn(RLW(GROUPS), 50)
    assert torch.allclose(weights.sum(1), torch.ones(50))
    assert len(weights.unique(dim=0)) == 50


def test_draws_are_those_of_a_normal_distribution():
    logits = drawn(RLW(GROUPS), 2000).log()
    differences = torch.cat([logits[:, 0] - logits[:, 1], logits[1:, 2] - logits[:-1, 2]])
    assert abs(differences.mean()) < 0.1  # the softmax only shifts, so differences of two draws have variance 2
    assert abs((logits[:, 0] - logits[:, 1]).var() - 2) < 0.2


def test_draws_follow_from_the_seed_and_the_steps():
    balancer = RLW(GROUPS, seed=3)
    first = drawn(balancer, 10)
    again = RLW(GROUPS, seed=3)
    assert torch.equal(drawn(again, 10), first)
    assert not torch.equal(drawn(RLW(GROUPS, seed=4), 10), first)


def test_resumed_run_draws_what_an_unbroken_one_does():
    balancer = RLW(GROUPS)
    whole = drawn(RLW(GROUPS), 10)
    drawn(balancer, 4)
    resumed = RLW(GROUPS)
    resumed.load_state_dict(balancer.state_dict())
    assert torch.equal(drawn(resumed, 6), whole[4:])


def test_drawing_leaves_the_global_generator_alone():
    state = torch.get_rng_state()
    drawn(RLW(GROUPS), 3)
    assert torch.equal(torch.get_rng_state(), state)
