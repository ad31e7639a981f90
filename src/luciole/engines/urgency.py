"""Whose step comes next, of all that want one."""

FORGIVEN = 3.0
"""So many times as long as it was promised, beyond its end, a late request waits for others."""


def urgency(
    *, begun: bool, opened: float, due: float, left: float, now: float
) -> tuple[bool, bool, float]:
    """What sorts first goes first: who has not begun, then who can be on time, then who is due.

    In seconds: `left` is what a request's remaining steps take in company. Who cannot be on time
    any more holds up nobody who can, until it has been late for a while.
    """
    late = now + left > due
    forgiven = now > due + FORGIVEN * (due - opened)
    return begun, late and not forgiven, due
