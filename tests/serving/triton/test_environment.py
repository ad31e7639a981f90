"""The Triton environment: what it is checked for, and the words when it cannot be."""

import json
import subprocess
from pathlib import Path

import pytest

from serving.triton import environment
from serving.triton.environment import TritonEnvironment, check_platform, find
from serving.triton.errors import Reason, TritonUnavailable


@pytest.mark.parametrize(
    ("system", "machine", "glibc", "reason", "words"),
    [
        ("Darwin", "arm64", None, Reason.PLATFORM, "Darwin arm64"),
        ("Linux", "aarch64", (2, 40), Reason.PLATFORM, "Linux aarch64"),
        ("Linux", "x86_64", (2, 31), Reason.GLIBC, "glibc 2.31"),
        ("Linux", "x86_64", None, Reason.GLIBC, "no glibc"),
    ],
)
def test_a_platform_without_the_wheel_is_a_typed_reason(
    system: str, machine: str, glibc: tuple[int, int] | None, reason: Reason, words: str
) -> None:
    with pytest.raises(TritonUnavailable, match=words) as caught:
        check_platform(system, machine, glibc)
    assert caught.value.reason is reason
    assert reason.permanent


def test_a_platform_with_the_wheel_passes() -> None:
    check_platform("Linux", "x86_64", (2, 35))


def test_an_environment_never_made_names_the_command_that_makes_it(tmp_path: Path) -> None:
    with pytest.raises(TritonUnavailable, match="triton-setup") as caught:
        find(tmp_path)
    assert caught.value.reason is Reason.NOT_SET_UP
    assert not caught.value.reason.permanent


def test_an_environment_of_other_requirements_is_out_of_date(tmp_path: Path) -> None:
    folder = tmp_path / environment.FOLDER
    folder.mkdir()
    (folder / environment.STAMP).write_text(json.dumps({"requirements": ["numpy==2.0"]}))
    with pytest.raises(TritonUnavailable, match="out of date"):
        find(tmp_path)


def test_the_stubs_numpy_is_older_than_2_and_onnxruntime_is_ours(
    triton_environment: TritonEnvironment,
) -> None:
    import onnxruntime

    code = "import numpy, onnxruntime; print(numpy.__version__, onnxruntime.__version__)"
    run = subprocess.run(
        [triton_environment.python, "-c", code], capture_output=True, text=True, check=True
    )
    numpy_version, onnxruntime_version = run.stdout.split()
    assert numpy_version.startswith("1.")
    assert onnxruntime_version == onnxruntime.__version__
