"""What can be wrong with a character."""

from luciole.domain import LucioleError


class CharacterNotFound(LucioleError):
    """The tenant has no such character."""

    code = "character_not_found"


class CharacterNameTaken(LucioleError):
    """Another character of the tenant has this name."""

    code = "character_name_taken"
