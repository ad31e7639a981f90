"""Whatever the code imports is what `pyproject.toml` brings, not what somebody once installed."""

import ast
import sys
from collections.abc import Iterator
from importlib.metadata import PackageNotFoundError, distribution, packages_distributions
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parents[2]
FOLDERS = ("src", "training", "export", "serving", "evals", "tests")
OURS = {"luciole", "training", "export", "serving", "evals", "tests"}
ELSEWHERE = {"bitsandbytes", "tensorrt", "tensorrt_rtx", "triton_python_backend_utils"}


def imported() -> dict[str, str]:
    """Each foreign top-level module, and one of the files that import it."""
    found: dict[str, str] = {}
    for path in (path for folder in FOLDERS for path in (ROOT / folder).rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            for name in names(node):
                found.setdefault(name.partition(".")[0], str(path.relative_to(ROOT)))
    known = OURS | ELSEWHERE | set(sys.stdlib_module_names)
    return {name: path for name, path in found.items() if name not in known}


def names(node: ast.AST) -> Iterator[str]:
    if isinstance(node, ast.Import):
        yield from (alias.name for alias in node.names)
    elif isinstance(node, ast.ImportFrom) and node.level == 0:
        yield str(node.module)


def brought(requirement: Requirement, seen: dict[str, set[str]]) -> dict[str, set[str]]:
    """The distributions, with their extras, that a requirement installs."""
    name, extras = canonicalize_name(requirement.name), requirement.extras | {""}
    if extras <= seen.get(name, set()):
        return seen
    seen[name] = seen.get(name, set()) | extras
    try:
        needed = distribution(name).requires or []
    except PackageNotFoundError:  # an optional one, which its users do without
        return seen
    for further in map(Requirement, needed):
        if not further.marker or any(further.marker.evaluate({"extra": e}) for e in extras):
            brought(further, seen)
    return seen


def test_every_import_is_of_something_that_setup_installs() -> None:
    installed = brought(Requirement("luciole[dev]"), {})
    holders = packages_distributions()
    strangers = {
        module: path
        for module, path in imported().items()
        if not {canonicalize_name(name) for name in holders.get(module, [])} & installed.keys()
    }
    assert not strangers, f"declare them in pyproject.toml: {strangers}"
