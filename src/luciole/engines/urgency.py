"""Whose step comes next, of all that want one."""

FORGIVEN = 3.0
"""So many times as long as it was promised, beyond its end, a late request waits for others."""
WORTH = 1.5
"""A call for one must be so many times quicker than one for several, before one goes alone."""
MARGIN = 1.2
"""Newcomers come between: a request takes so many times as long as its own calls."""


def urgency(
    *, begun: bool, opened: float, due: float, left: float, now: float
) -> tuple[bool, bool, float]:
    """What sorts first goes first: who has not begun, then who can be on time, then who is due.

    In seconds: `left` is what a request's remaining steps take alone. Who cannot be on time any
    more holds up nobody who can, until it has been late for a while.
    """
    late = now + left > due
    forgiven = now > due + FORGIVEN * (due - opened)
    return begun, late and not forgiven, due


def goes_alone(*, due: float, now: float, steps: int, alone: float, together: float) -> bool:
    """Whether the first in line, with so many steps left, is on time alone and late in company.

    `alone` and `together` are the seconds of a call for one and of one for several.
    """
    late_together = now + MARGIN * steps * together > due
    return late_together and now + steps * alone <= due and together >= WORTH * alone
