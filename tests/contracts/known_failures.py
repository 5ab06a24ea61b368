"""Promises that a component cannot keep, each with the reason: {class: {name of the check: reason}}.

Strict: a check that starts to pass fails here until its line is taken out.
"""

from limbeck.balancers import RLW
from limbeck.losses import CATKD
from limbeck.outputs import Given

KNOWN_FAILURES: dict[type, dict[str, str]] = {
    CATKD: {"check_copies": "it reads the student's own head, which belongs to the student and not to its state"},
    Given: {
        "check_output_copies": "its function is code of the user's, which no state dict and no repr can carry",
        "check_output_documented": "formula and source are those of the user's function",
    },
    RLW: {"check_term_order": "a draw is not of the losses, so it does not move with them"},
}
