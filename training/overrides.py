"""Typing errors in overrides, told in one line with the nearest valid word."""

from collections.abc import Iterator, Sequence
from difflib import get_close_matches
from pathlib import Path

from hydra import compose, initialize_config_dir
from hydra.core.global_hydra import GlobalHydra
from hydra.core.object_type import ObjectType
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Override
from hydra.errors import HydraException
from omegaconf import DictConfig, Node
from omegaconf.errors import OmegaConfBaseException

ELSEWHERE = {"--config-dir", "-cd", "--config-name", "-cn", "--config-path", "-cp"}


class BadOverride(ValueError):
    """An override that the configuration has no place for; the message is for the command line."""


def check(folder: Path, name: str, arguments: Sequence[str]) -> DictConfig | None:
    """The configuration; raise BadOverride where the command line's overrides make none.

    Of a sweep (`seed=1,2`) the first value stands for all. Options of Hydra that bring another
    configuration are left to it: None.
    """
    if any(word in ELSEWHERE for word in arguments):
        return None
    words = [word for word in arguments if not word.startswith("-")]
    with initialize_config_dir(str(folder), version_base=None):
        overrides = [_parsed(word) for word in words]
        try:
            config = compose(name, [_first(each) for each in overrides])
        except (HydraException, OmegaConfBaseException) as error:
            raise BadOverride(_reason(name, overrides, error)) from error
    for key, node in _nodes(config):
        if node._is_missing():
            raise BadOverride(f"{key}: must be given, as {key}=...")
    return config


def _parsed(word: str) -> Override:
    try:
        return OverridesParser.create().parse_override(word)
    except HydraException as error:
        raise BadOverride(f"{word}: {str(error).splitlines()[0]}") from error


def _reason(name: str, overrides: Sequence[Override], error: Exception) -> str:
    """The first override that is at fault; Hydra's own words where none is found."""
    groups = [each for each in overrides if _options(each.key_or_group)]
    for each in groups:
        wrong = _wrong_choice(each)
        if wrong:
            return wrong
    try:
        config = compose(name, [_first(each) for each in groups])
    except (HydraException, OmegaConfBaseException):
        return _chosen(str(error))
    for each in overrides:
        if each not in groups and not each.is_add() and not each.is_force_add():
            wrong = _wrong_key(config, each.key_or_group)
            if wrong:
                return wrong
    return str(error).splitlines()[0]


def _chosen(reason: str) -> str:
    """Hydra's complaint about a group that must be chosen from, shortened."""
    if "You must specify" in reason:
        return f"experiment: choose one of {', '.join(_options('experiment'))}"
    return reason.splitlines()[0]


def _wrong_choice(override: Override) -> str | None:
    group, value = override.key_or_group, override.value()
    options = _options(group)
    if not isinstance(value, str) or value in options:
        return None
    near = get_close_matches(value, options, 1, 0.5)
    meant = f"did you mean {near[0]}?" if near else f"there are {', '.join(options)}"
    return f"{group}={value}: there is no such choice; {meant}"


def _wrong_key(config: DictConfig, key: str) -> str | None:
    """What is wrong with a dotted key, and the nearest that is right."""
    keys = [found for found, _ in _nodes(config)]
    if key in keys:
        return None
    every = [*keys, *_groups()]
    parent, _, last = key.rpartition(".")
    beside = [name for name in every if name.rpartition(".")[0] == parent]
    lasts = get_close_matches(last, [name.rpartition(".")[2] for name in beside], 1)
    near = [f"{parent}.{lasts[0]}".lstrip(".")] if lasts else get_close_matches(key, every, 1, 0.5)
    meant = f"did you mean {near[0]}?" if near else "see --cfg job for all keys"
    return f"{key}: there is no such key; {meant}"


def _first(override: Override) -> str:
    """The override as it was typed; of a sweep its first value."""
    if not override.is_sweep_override():
        return override.input_line or ""
    return f"{override.get_key_element()}={next(override.sweep_string_iterator())}"


def _nodes(config: DictConfig, parent: str = "") -> Iterator[tuple[str, Node]]:
    """Every branch and leaf with its dotted key; references are leaves."""
    for name in [] if config._is_none() else config:
        key, node = f"{parent}.{name}".lstrip("."), config._get_node(name)
        if isinstance(node, Node):
            yield key, node
        if isinstance(node, DictConfig) and not node._is_interpolation() and not node._is_missing():
            yield from _nodes(node, key)


def _options(group: str) -> list[str]:
    loader = GlobalHydra.instance().config_loader()
    return list(loader.get_group_options(group.partition("@")[0]))


def _groups() -> list[str]:
    loader = GlobalHydra.instance().config_loader()
    return list(loader.get_group_options("", ObjectType.GROUP))
