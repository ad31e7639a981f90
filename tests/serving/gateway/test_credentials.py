"""Content Credentials: they verify with the C2PA reader, and any change is found out."""

import io
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from c2pa import C2paError
from PIL import Image

from luciole.bundle import Manifest
from luciole.domain import RenderPlan, SolverName
from luciole.domain.guides import Mask, Start
from serving.gateway.credentials import authority
from serving.gateway.credentials.signing import Credentials
from serving.gateway.encoding import Encoder, PictureFormat
from serving.gateway.encoding import encoder as make_encoder
from serving.settings import Settings as ServiceSettings
from tests.serving.gateway.reading import credentials_of

PLAN = RenderPlan(
    prompt="a girl", width=64, height=64, steps=2, guidance_scale=1, seed=5,
    solver=SolverName.EULER,
)  # fmt: skip
PIXELS = np.random.default_rng(0).integers(0, 256, (64, 64, 3), np.uint8)


@pytest.fixture(scope="module")
def encoder(tmp_path_factory: pytest.TempPathFactory, painter_manifest: Manifest) -> Encoder:
    identity = authority.made(tmp_path_factory.mktemp("credentials") / "made")
    return Encoder(painter_manifest, Credentials(identity))


@pytest.mark.parametrize("form", list(PictureFormat))
def test_a_picture_is_trusted_by_who_trusts_its_authority(
    encoder: Encoder, form: PictureFormat
) -> None:
    assert encoder.credentials is not None
    file = encoder.file(PIXELS, PLAN, form)
    trusted, manifest = credentials_of(file, form.mime, encoder.credentials.anchor)
    assert trusted == "Trusted"
    [actions] = [one for one in manifest["assertions"] if one["label"] == "c2pa.actions.v2"]
    [action] = actions["data"]["actions"]
    assert action["action"] == "c2pa.created"
    assert action["digitalSourceType"].endswith("/trainedAlgorithmicMedia")
    assert manifest["claim_generator_info"][0]["name"] == "Luciole"
    assert credentials_of(file, form.mime, None)[0] == "Valid"


def test_another_authority_does_not_vouch_for_it(encoder: Encoder, tmp_path: Path) -> None:
    other = authority.made(tmp_path / "other")
    assert credentials_of(encoder.file(PIXELS, PLAN), "image/png", other.anchor)[0] == "Valid"


def test_what_is_drawn_into_a_picture_says_that_it_is_composed(encoder: Encoder) -> None:
    guides = {"start": Start(picture="0" * 64), "mask": Mask(picture="1" * 64)}
    file = encoder.file(PIXELS, PLAN.model_copy(update=guides))
    assert "compositeWithTrainedAlgorithmicMedia" in str(credentials_of(file, "image/png", None)[1])


@pytest.mark.parametrize("form", ["png", "gif"])
def test_what_is_put_together_of_pictures_is_signed_as_composed(
    encoder: Encoder, form: str
) -> None:
    seal, target = encoder.credentials, io.BytesIO()
    assert seal is not None
    frames = [Image.fromarray(PIXELS), Image.fromarray(255 - PIXELS)]
    frames[0].save(target, form, save_all=True, append_images=frames[1:])
    plain, mime = target.getvalue(), f"image/{form}"
    files = [seal.composed(plain, mime) for _ in range(2)]
    assert files[0] != files[1]
    trusted, manifest = credentials_of(files[0], mime, seal.anchor)
    assert trusted == "Trusted"
    assert "compositeWithTrainedAlgorithmicMedia" in str(manifest)
    with Image.open(io.BytesIO(files[0])) as opened:
        assert opened.n_frames == 2  # type: ignore[attr-defined]


def test_a_mark_is_that_of_the_bytes_and_of_the_signer(encoder: Encoder, tmp_path: Path) -> None:
    seal, other = encoder.credentials, Credentials(authority.made(tmp_path / "other"))
    assert seal is not None
    assert seal.mark(b"a") == seal.mark(b"a") != seal.mark(b"b")
    assert seal.mark(b"a") != other.mark(b"a")


def test_pictures_and_films_can_carry_credentials_and_json_cannot(encoder: Encoder) -> None:
    seal = encoder.credentials
    assert seal is not None
    kinds = ("image/png", "image/webp", "image/jpeg", "image/gif", "video/mp4")
    assert all(map(seal.takes, kinds))
    assert not seal.takes("application/json")


def test_every_changed_byte_of_the_pixels_is_found_out(encoder: Encoder) -> None:
    file = encoder.file(PIXELS, PLAN)
    begin = file.index(b"IDAT") + 10
    for place in range(begin, len(file) - 100, 1500):
        changed = bytearray(file)
        changed[place] ^= 1
        assert credentials_of(bytes(changed), "image/png", None)[0] == "Invalid"


def test_the_words_are_inside_the_signature(encoder: Encoder) -> None:
    file = encoder.file(PIXELS, PLAN)
    with Image.open(io.BytesIO(file)) as picture:
        assert picture.text["parameters"].startswith("a girl\nSteps: 2")  # type: ignore[attr-defined]
    assert credentials_of(file.replace(b"a girl", b"a goat", 1), "image/png", None)[0] == "Invalid"


def test_the_pixels_are_those_that_were_drawn(encoder: Encoder) -> None:
    with Image.open(io.BytesIO(encoder.file(PIXELS, PLAN))) as picture:
        np.testing.assert_array_equal(np.asarray(picture), PIXELS)


def test_many_threads_sign_at_once(encoder: Encoder) -> None:
    with ThreadPoolExecutor(8) as pool:
        files = list(pool.map(lambda _: encoder.file(PIXELS, PLAN), range(32)))
    assert {credentials_of(file, "image/png", None)[0] for file in files} == {"Valid"}


def test_without_credentials_the_same_plan_gives_the_same_bytes(
    encoder: Encoder, painter_manifest: Manifest
) -> None:
    plain = Encoder(painter_manifest, None)
    assert plain.file(PIXELS, PLAN) == plain.file(PIXELS, PLAN)
    with pytest.raises(C2paError, match="ManifestNotFound"):
        credentials_of(plain.file(PIXELS, PLAN), "image/png", None)


def test_a_given_identity_signs(tmp_path: Path, painter_manifest: Manifest) -> None:
    made = authority.made(tmp_path / "made")
    chain, key = tmp_path / "made" / "chain.pem", tmp_path / "made" / "signer.key"
    assert key.stat().st_mode & 0o777 == 0o600
    settings = ServiceSettings(state_folder=tmp_path / "none", c2pa_chain=chain, c2pa_key=key)
    file = make_encoder(painter_manifest, settings).file(PIXELS, PLAN)
    assert credentials_of(file, "image/png", made.anchor)[0] == "Trusted"
    assert not (tmp_path / "none").exists()
