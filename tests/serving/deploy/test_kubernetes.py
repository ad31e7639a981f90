"""The Kubernetes manifests: put together by kustomize, checked against Kubernetes' schema."""

import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import kubernetes_validate
import pytest
import yaml

from serving.__main__ import parser
from serving.settings import Settings

FOLDER = Path(__file__).parents[3] / "serving" / "deploy" / "kubernetes"
VERSION = "1.31"


@pytest.fixture(scope="module")
def manifests() -> list[dict[str, Any]]:
    """What would be applied."""
    if shutil.which("kubectl") is None:
        pytest.skip("no kubectl, which brings kustomize")
    done = subprocess.run(["kubectl", "kustomize", FOLDER], capture_output=True, check=True)
    return list(yaml.safe_load_all(done.stdout))


@pytest.fixture(scope="module")
def pods(manifests: list[dict[str, Any]]) -> dict[str, dict[str, Any]]:
    """What is run, by name."""
    found = [one for one in manifests if one["kind"] == "Deployment"]
    return {one["metadata"]["name"]: one["spec"]["template"]["spec"] for one in found}


def containers(pod: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """Those of a pod with the ones that run beside it."""
    return {one["name"]: one for one in [*pod["containers"], *pod.get("initContainers", [])]}


def test_kubernetes_itself_would_take_them(manifests: list[dict[str, Any]]) -> None:
    checked = [one for one in manifests if one["kind"] != "ScaledObject"]
    assert len(checked) == len(manifests) - 2
    for one in checked:
        kubernetes_validate.validate(one, VERSION, strict=True)


def test_every_file_of_the_folder_takes_part() -> None:
    for folder in (FOLDER, FOLDER / "triton"):
        said = (folder / "kustomization.yaml").read_text()
        for file in folder.glob("*.yaml"):
            assert file.name == "kustomization.yaml" or file.name in said


def test_every_variable_is_a_setting_and_its_value_is_understood(
    manifests: list[dict[str, Any]],
    pods: dict[str, dict[str, Any]],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    [shared] = [one["data"] for one in manifests if one["kind"] == "ConfigMap"]
    own = [e for pod in pods.values() for c in containers(pod).values() for e in c.get("env", [])]
    known = {f"LUCIOLE_{field.upper()}" for field in Settings.model_fields}
    for name, value in [*shared.items(), *((one["name"], one["value"]) for one in own)]:
        assert name in known | {"AWS_REGION"}
        monkeypatch.setenv(name, value)
    assert Settings().triton_url == "127.0.0.1:9001"


def test_the_gateway_the_workers_and_the_sender_run_commands_that_there_are(
    pods: dict[str, dict[str, Any]],
) -> None:
    assert set(pods) == {"gateway", "worker", "sender"}
    for name, pod in pods.items():
        for one in containers(pod).values():
            assert parser().parse_args(one["args"]).command
        assert ("triton" in containers(pod)) == (name != "sender")


def test_each_container_is_pinned_bounded_and_without_rights(
    pods: dict[str, dict[str, Any]],
) -> None:
    for pod in pods.values():
        assert pod["securityContext"]["runAsNonRoot"]
        assert pod["automountServiceAccountToken"] is False
        for one in containers(pod).values():
            assert re.fullmatch(r"luciole/\w+:\d+\.\d+\.\d+", one["image"])
            assert set(one["resources"]["requests"]) == {"cpu", "memory"}
            assert "memory" in one["resources"]["limits"]
            own = one["securityContext"]
            assert own["readOnlyRootFilesystem"]
            assert not own["allowPrivilegeEscalation"]
            assert own["capabilities"]["drop"] == ["ALL"]


def test_probes_ask_what_tells_readiness_and_traffic_waits_for_it(
    pods: dict[str, dict[str, Any]],
) -> None:
    gateway = containers(pods["gateway"])["gateway"]
    assert gateway["readinessProbe"]["httpGet"]["path"] == "/readyz"
    assert gateway["livenessProbe"]["httpGet"]["path"] == "/healthz"
    patience = Settings.model_fields["ready_patience"].default
    assert gateway["readinessProbe"]["timeoutSeconds"] > patience
    triton = containers(pods["worker"])["triton"]
    assert triton["restartPolicy"] == "Always"
    assert triton["startupProbe"]["httpGet"]["path"] == "/v2/health/ready"


def test_those_who_draw_share_the_memory_of_styles_with_their_triton(
    pods: dict[str, dict[str, Any]],
) -> None:
    for name in ("gateway", "worker"):
        found = containers(pods[name])
        for one in (found[name], found["triton"]):
            told = {each["name"]: each["value"] for each in one["env"]}
            mounted = {each["name"]: each["mountPath"] for each in one["volumeMounts"]}
            assert told["LUCIOLE_TRITON_BANK"] == mounted["bank"]
        [bank] = [one for one in pods[name]["volumes"] if one["name"] == "bank"]
        assert bank["emptyDir"]["medium"] == "Memory"


def test_what_scales_is_there_and_asks_for_metrics_that_there_are(
    manifests: list[dict[str, Any]], pods: dict[str, dict[str, Any]]
) -> None:
    gateway = FOLDER.parents[1] / "gateway"
    code = "".join(file.read_text() for file in gateway.glob("*.py"))
    scaled = [one["spec"] for one in manifests if one["kind"] == "ScaledObject"]
    assert {one["scaleTargetRef"]["name"] for one in scaled} == {"gateway", "worker"} <= set(pods)
    names = re.findall(r"luciole_(\w+)\{", str(scaled))
    assert set(names) == {"queue_pictures", "jobs_queued", "jobs_running"}
    assert [name for name in names if f'"{name}"' not in code] == []


def test_an_eviction_leaves_somebody_and_everything_else_is_closed(
    manifests: list[dict[str, Any]],
) -> None:
    kept = [one for one in manifests if one["kind"] == "PodDisruptionBudget"]
    assert {one["metadata"]["name"] for one in kept} == {"gateway", "worker"}
    rules = {
        one["metadata"]["name"]: one["spec"] for one in manifests if one["kind"] == "NetworkPolicy"
    }
    assert rules["closed"] == {"podSelector": {}, "policyTypes": ["Ingress", "Egress"]}
    opened = [rule for rule in rules.values() if rule.get("ingress")]
    assert len(opened) == 2
