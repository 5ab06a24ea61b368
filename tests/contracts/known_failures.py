"""Promises that a component cannot keep, each with the reason: {class: {name of the check: reason}}.

Strict: a check that starts to pass fails here until its line is taken out.
"""

from limbeck.outputs import Given

KNOWN_FAILURES: dict[type, dict[str, str]] = {
    Given: {
        "check_output_copies": "its function is code of the user's, which no state dict and no repr can carry",
        "check_output_documented": "formula and source are those of the user's function",
    },
}
