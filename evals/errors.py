"""What an evaluation refuses, by name; nothing is reported as a number then."""

from luciole.domain import LucioleError


class EvaluationError(LucioleError):
    """A checkpoint, a setting, a metric or a kept render cannot be used; `field` names it."""

    code = "invalid_evaluation"
