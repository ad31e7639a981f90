"""What goes wrong between the words and the engine."""

from luciole.domain import LucioleError


class ServiceAway(LucioleError):
    """A service of somebody else's, which was asked for help, does not answer as it should."""

    code = "service_away"


class PolicyRefusal(LucioleError):
    """The content policy says no; `category` is the policy's word for why."""

    code = "refused"

    def __init__(self, field: str, category: str, about: str) -> None:
        super().__init__(field, f"is refused by the content policy ({category}): {about}")
        self.category = category


class PromptUnsafe(PolicyRefusal):
    """Words that this service does not draw; nothing was started."""

    code = "prompt_unsafe"


class ImageUnsafe(PolicyRefusal):
    """A picture that this service does not take or hand out."""

    code = "image_unsafe"
