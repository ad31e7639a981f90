"""Content Credentials: they verify with the C2PA reader, and any change is found out."""

import io
import json
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from c2pa import C2paError, Context, Reader, Settings
from PIL import Image

from luciole.bundle import Manifest
from luciole.domain import RenderPlan, SolverName
from luciole.domain.guides import Mask, Start
from serving.gateway.credentials import authority
from serving.gateway.credentials.signing import Credentials
from serving.gateway.encoding import Encoder, PictureFormat
from serving.gateway.encoding import encoder as make_encoder
from serving.settings import Settings as ServiceSettings

PLAN = RenderPlan(
    prompt="a girl", width=64, height=64, steps=2, guidance_scale=1, seed=5,
    solver=SolverName.EULER,
)  # fmt: skip
PIXELS = np.random.default_rng(0).integers(0, 256, (64, 64, 3), np.uint8)


@pytest.fixture(scope="module")
def encoder(tmp_path_factory: pytest.TempPathFactory, painter_manifest: Manifest) -> Encoder:
    identity = authority.made(tmp_path_factory.mktemp("credentials") / "made")
    return Encoder(painter_manifest, Credentials(identity))


def state(file: bytes, mime: str, anchor: bytes | None) -> tuple[str | None, dict[str, Any]]:
    """What the C2PA reader says of a file, and its manifest."""
    trust = {} if anchor is None else {"trust": {"trust_anchors": anchor.decode()}}
    with (
        Context(Settings.from_dict(trust)) as context,
        Reader(mime, io.BytesIO(file), context=context) as reader,
    ):
        found = json.loads(reader.json())
        return reader.get_validation_state(), found["manifests"][found["active_manifest"]]


@pytest.mark.parametrize("form", list(PictureFormat))
def test_a_picture_is_trusted_by_who_trusts_its_authority(
    encoder: Encoder, form: PictureFormat
) -> None:
    assert encoder.credentials is not None
    file = encoder.file(PIXELS, PLAN, form)
    trusted, manifest = state(file, form.mime, encoder.credentials.anchor)
    assert trusted == "Trusted"
    [actions] = [one for one in manifest["assertions"] if one["label"] == "c2pa.actions.v2"]
    [action] = actions["data"]["actions"]
    assert action["action"] == "c2pa.created"
    assert action["digitalSourceType"].endswith("/trainedAlgorithmicMedia")
    assert manifest["claim_generator_info"][0]["name"] == "Luciole"
    assert state(file, form.mime, None)[0] == "Valid"


def test_another_authority_does_not_vouch_for_it(encoder: Encoder, tmp_path: Path) -> None:
    other = authority.made(tmp_path / "other")
    assert state(encoder.file(PIXELS, PLAN), "image/png", other.anchor)[0] == "Valid"


def test_what_is_drawn_into_a_picture_says_that_it_is_composed(encoder: Encoder) -> None:
    guides = {"start": Start(picture="0" * 64), "mask": Mask(picture="1" * 64)}
    file = encoder.file(PIXELS, PLAN.model_copy(update=guides))
    assert "compositeWithTrainedAlgorithmicMedia" in str(state(file, "image/png", None)[1])


def test_every_changed_byte_of_the_pixels_is_found_out(encoder: Encoder) -> None:
    file = encoder.file(PIXELS, PLAN)
    begin = file.index(b"IDAT") + 10
    for place in range(begin, len(file) - 100, 1500):
        changed = bytearray(file)
        changed[place] ^= 1
        assert state(bytes(changed), "image/png", None)[0] == "Invalid"


def test_the_words_are_inside_the_signature(encoder: Encoder) -> None:
    file = encoder.file(PIXELS, PLAN)
    with Image.open(io.BytesIO(file)) as picture:
        assert picture.text["parameters"].startswith("a girl\nSteps: 2")  # type: ignore[attr-defined]
    assert state(file.replace(b"a girl", b"a goat", 1), "image/png", None)[0] == "Invalid"


def test_the_pixels_are_those_that_were_drawn(encoder: Encoder) -> None:
    with Image.open(io.BytesIO(encoder.file(PIXELS, PLAN))) as picture:
        np.testing.assert_array_equal(np.asarray(picture), PIXELS)


def test_many_threads_sign_at_once(encoder: Encoder) -> None:
    with ThreadPoolExecutor(8) as pool:
        files = list(pool.map(lambda _: encoder.file(PIXELS, PLAN), range(32)))
    assert {state(file, "image/png", None)[0] for file in files} == {"Valid"}


def test_without_credentials_the_same_plan_gives_the_same_bytes(
    encoder: Encoder, painter_manifest: Manifest
) -> None:
    plain = Encoder(painter_manifest, None)
    assert plain.file(PIXELS, PLAN) == plain.file(PIXELS, PLAN)
    with pytest.raises(C2paError, match="ManifestNotFound"):
        state(plain.file(PIXELS, PLAN), "image/png", None)


def test_a_given_identity_signs(tmp_path: Path, painter_manifest: Manifest) -> None:
    made = authority.made(tmp_path / "made")
    chain, key = tmp_path / "made" / "chain.pem", tmp_path / "made" / "signer.key"
    assert key.stat().st_mode & 0o777 == 0o600
    settings = ServiceSettings(state_folder=tmp_path / "none", c2pa_chain=chain, c2pa_key=key)
    file = make_encoder(painter_manifest, settings).file(PIXELS, PLAN)
    assert state(file, "image/png", made.anchor)[0] == "Trusted"
    assert not (tmp_path / "none").exists()
