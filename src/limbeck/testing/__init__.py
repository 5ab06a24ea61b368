"""Checks that a component keeps the promises of its family; for limbeck's own and for yours."""

from limbeck.testing.associations import check_association
from limbeck.testing.balancers import BALANCER_CHECKS, check_balancer
from limbeck.testing.captures import check_capture
from limbeck.testing.contract_error import ContractError
from limbeck.testing.feature_sources import check_feature_source
from limbeck.testing.losses import check_loss, check_loss_compiles, loss_checks
from limbeck.testing.mappers import check_mapper
from limbeck.testing.outputs import check_output, check_output_compiles, output_checks
from limbeck.testing.projectors import check_projector, check_projector_compiles
from limbeck.testing.running import run
from limbeck.testing.schedules import SCHEDULE_CHECKS, check_schedule
from limbeck.testing.similarities import SIMILARITY_CHECKS, check_similarity
from limbeck.testing.targets import check_target, check_target_compiles

__all__ = [
    "BALANCER_CHECKS",
    "SCHEDULE_CHECKS",
    "SIMILARITY_CHECKS",
    "ContractError",
    "check_association",
    "check_balancer",
    "check_capture",
    "check_feature_source",
    "check_loss",
    "check_loss_compiles",
    "check_mapper",
    "check_output",
    "check_output_compiles",
    "check_projector",
    "check_projector_compiles",
    "check_schedule",
    "check_similarity",
    "check_target",
    "check_target_compiles",
    "loss_checks",
    "output_checks",
    "run",
]
