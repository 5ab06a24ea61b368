"""Three losses of different kinds in compiled machine code."""

import pytest
import torch

from limbeck.losses import CKA, MSE, WKDF
from limbeck.testing.samples import feature_pair, with_gradient


@pytest.mark.slow
@pytest.mark.compiled
@pytest.mark.parametrize("loss", [MSE(), CKA(), WKDF()], ids=repr)
def test_value_and_gradient_are_those_of_the_uncompiled_loss(loss):
    compiled = torch.compile(loss, fullgraph=True, backend="inductor")
    student, teacher = feature_pair(loss.needs)
    found = []
    for each in (loss, compiled):
        mine = with_gradient(student)
        value = each(mine, teacher)
        value.backward()
        found.append((value.detach(), mine.x.grad))
    torch.testing.assert_close(found[1], found[0], rtol=1e-4, atol=1e-6)
