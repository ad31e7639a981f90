"""compose.yaml and the Dockerfile say what the code understands, and give nothing away."""

import json
import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from serving.__main__ import parser
from serving.settings import Settings
from serving.storage.objects import open_objects

ROOT = Path(__file__).parents[3]
DEPLOY = ROOT / "serving" / "deploy"
COMPOSE: dict[str, Any] = yaml.safe_load((DEPLOY / "compose.yaml").read_text())
SERVICES: dict[str, dict[str, Any]] = COMPOSE["services"]
OURS = {name: one for name, one in SERVICES.items() if one["image"].startswith("luciole/")}
VARIABLE = re.compile(r"\$\{(\w+)(?::([-?])([^}]*))?\}")
PINNED = re.compile(r"[\w./-]+:[\w.-]*\d+[.-]\d+[\w.-]*")
DOCKERFILE = (DEPLOY / "Dockerfile").read_text()


def filled(value: str) -> str:
    """As compose reads it where every variable is chosen."""
    return VARIABLE.sub("chosen", value)


@pytest.mark.parametrize("name", OURS)
def test_every_variable_is_a_setting_and_its_value_is_understood(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    told = {key: filled(str(value)) for key, value in OURS[name]["environment"].items()}
    ours = {key for key in told if key.startswith("LUCIOLE_")}
    of_the_image = dict(re.findall(r"(LUCIOLE_\w+)=(\S+)", DOCKERFILE))
    known = {f"LUCIOLE_{field.upper()}" for field in Settings.model_fields}
    assert ours | set(of_the_image) <= known
    assert {key.partition("_")[0] for key in told} <= {"LUCIOLE", "AWS"}
    for key, value in (of_the_image | told).items():
        monkeypatch.setenv(key, value)
    settings = Settings()
    assert not settings.open_to_owner
    if name != "triton":
        assert open_objects(settings.objects).signed_url("0" * 64, "png", 60)


def test_every_part_of_production_is_chosen() -> None:
    gateway, triton = (SERVICES[name]["environment"] for name in ("gateway", "triton"))
    for name in ("DATABASE_URL", "REDIS_URL", "OBJECTS_URL", "OIDC_ISSUER", "STRIPE_KEY"):
        assert gateway[f"LUCIOLE_{name}"]
    assert gateway["LUCIOLE_TRITON_URL"] == "triton:8001"
    assert gateway["LUCIOLE_TRITON_BANK"] == triton["LUCIOLE_TRITON_BANK"]


def test_each_service_of_ours_runs_a_command_that_there_is() -> None:
    for service in OURS.values():
        assert parser().parse_args(service["command"]).command


def test_each_image_is_pinned() -> None:
    found = [service["image"] for service in SERVICES.values()]
    found += re.findall(r"^FROM (\S+:\S+)", DOCKERFILE, re.MULTILINE)
    assert len(found) > len(SERVICES)
    assert [image for image in found if not PINNED.fullmatch(image)] == []


def test_nothing_runs_as_root_or_keeps_its_rights() -> None:
    for name, service in SERVICES.items():
        assert re.fullmatch(r"[1-9]\d*:\d+", service["user"]), name
        assert service["cap_drop"] == ["ALL"], name
    for service in OURS.values():
        assert service["read_only"]
        assert "no-new-privileges:true" in service["security_opt"]
    stages = DOCKERFILE.split("\nFROM ")
    for stage in stages[3:]:
        assert re.findall(r"^USER (\w+)", stage, re.MULTILINE)[-1] == "10001"


def test_who_waits_for_health_waits_for_something_that_tells_it() -> None:
    for service in SERVICES.values():
        for part, told in service.get("depends_on", {}).items():
            if told["condition"] == "service_healthy":
                assert SERVICES[part]["healthcheck"]["test"]
    assert "/readyz" in SERVICES["gateway"]["healthcheck"]["test"][-1]
    assert "/v2/health/ready" in SERVICES["triton"]["healthcheck"]["test"][-1]


def test_secrets_are_chosen_outside_and_the_example_names_them_all() -> None:
    for service in SERVICES.values():
        for key, value in service.get("environment", {}).items():
            if re.search("PASSWORD|SECRET|STRIPE_KEY", key):
                assert VARIABLE.fullmatch(value), key
    asked = {found[0] for found in VARIABLE.findall((DEPLOY / "compose.yaml").read_text())}
    lines = (DEPLOY / ".env.example").read_text().splitlines()
    named = {line.removesuffix("=") for line in lines if line and not line.startswith("#")}
    assert asked == named
    assert json.loads((DEPLOY / "realm.json").read_text())["clients"][0]["secret"].startswith("${")


def test_every_volume_is_declared_and_every_target_is_there() -> None:
    for service in SERVICES.values():
        for volume in service.get("volumes", []):
            source = volume.partition(":")[0]
            there = (
                (DEPLOY / source).exists()
                if source.startswith(".")
                else source in COMPOSE["volumes"]
            )
            assert there, source
        if build := service.get("build"):
            assert (DEPLOY / build["context"]).resolve() == ROOT
            assert re.search(f"^FROM .* AS {build['target']}$", DOCKERFILE, re.MULTILINE)


def test_what_the_image_copies_is_in_the_checkout_and_let_in() -> None:
    let_in = (DEPLOY / "Dockerfile.dockerignore").read_text().split()
    for words in re.findall(r"^COPY (?!--)(.*)$", DOCKERFILE, re.MULTILINE):
        for source in words.split()[:-1]:
            assert (ROOT / source).exists(), source
            assert f"!{source}" in let_in


def test_an_empty_variable_is_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LUCIOLE_STRIPE_KEY", "")
    assert Settings().stripe_key is None
