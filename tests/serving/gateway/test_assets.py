"""Files by hash: uploads, refusals, conditional and partial answers, signed addresses."""

import hashlib
import io
import struct
import time
import zlib

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from serving.gateway.assets.ranges import part
from serving.gateway.assets.signing import Signer


def keep(client: httpx.Client, content: bytes) -> dict[str, str]:
    answer = client.post("/api/v1/assets", content=content)
    assert answer.status_code == 201
    kept: dict[str, str] = answer.json()
    return kept


def test_an_upload_is_named_by_its_bytes_and_kept_once(
    admin: httpx.Client, tiny_png: bytes
) -> None:
    first, again = keep(admin, tiny_png), keep(admin, tiny_png)
    assert first["sha256"] == again["sha256"] == hashlib.sha256(tiny_png).hexdigest()
    assert (first["mime"], first["width"], first["height"]) == ("image/png", 16, 16)
    assert httpx.get(first["url"]).content == tiny_png
    assert admin.get(f"/api/v1/assets/{first['sha256']}").json()["size"] == len(tiny_png)


def test_who_has_the_bytes_is_told_so_and_a_part_can_be_had(
    admin: httpx.Client, tiny_png: bytes
) -> None:
    kept = keep(admin, tiny_png)
    url, etag = kept["url"], f'"{kept["sha256"]}"'
    whole = httpx.get(url)
    assert whole.headers["etag"] == etag
    assert whole.headers["cache-control"] == "public, max-age=31536000, immutable"
    assert whole.headers["x-content-type-options"] == "nosniff"
    for names in (etag, f'"a", W/{etag}', "*"):
        assert httpx.get(url, headers={"if-none-match": names}).status_code == 304
    half = httpx.get(url, headers={"range": "bytes=4-9"})
    assert (half.status_code, half.content) == (206, tiny_png[4:10])
    assert half.headers["content-range"] == f"bytes 4-9/{len(tiny_png)}"
    late = httpx.get(url, headers={"range": "bytes=99999-"})
    assert late.status_code == 416
    assert late.headers["content-range"] == f"bytes */{len(tiny_png)}"
    stale = httpx.get(url, headers={"range": "bytes=0-1", "if-range": '"other"'})
    assert (stale.status_code, stale.content) == (200, tiny_png)
    assert httpx.head(url).headers["content-length"] == str(len(tiny_png))


@given(st.binary(max_size=20), st.integers(0, 25), st.integers(0, 25))
def test_a_range_is_what_a_slice_is(content: bytes, first: int, last: int) -> None:
    size = len(content)
    got = part(f"bytes={first}-{last}", size)
    if last < first:
        assert got is None
    else:
        assert content[got.start : got.stop] == content[first : last + 1]  # type: ignore[union-attr]
    suffix = part(f"bytes=-{last}", size)
    assert suffix is not None
    assert len(suffix) == min(last, size)


@pytest.mark.parametrize("wanted", ["bytes=-", "bytes=1-2,4-5", "lines=1-2", "bytes=a-b", ""])
def test_a_range_that_is_not_served_is_ignored(wanted: str) -> None:
    assert part(wanted, 10) is None


def bomb(width: int, height: int) -> bytes:
    """A tiny PNG whose header says that it is huge."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return (
            struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
        )

    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    data = chunk(b"IDAT", zlib.compress(b"\0" * 1000))
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + data + chunk(b"IEND", b"")


@pytest.mark.parametrize("side", [7_000, 12_000, 60_000, 2**31 - 1])
def test_a_decompression_bomb_is_refused_by_its_header(admin: httpx.Client, side: int) -> None:
    began = time.perf_counter()
    answer = admin.post("/api/v1/assets", content=bomb(side, side))
    assert (answer.status_code, answer.json()["code"]) == (413, "too_large")
    assert time.perf_counter() - began < 2


def damaged(png: bytes) -> list[bytes]:
    flipped = bytearray(png)
    flipped[len(png) // 2] ^= 255
    return [b"", b"hello", png[:40], png[:-20], bytes(flipped), b"GIF89a" + bytes(50), bomb(64, 64)]


def test_damaged_pictures_are_refused(admin: httpx.Client) -> None:
    noise = io.BytesIO()
    Image.effect_noise((64, 64), 50).save(noise, "PNG")
    for content in damaged(noise.getvalue()):
        answer = admin.post("/api/v1/assets", content=content)
        assert (answer.status_code, answer.json()["code"]) == (422, "unprocessable")


def test_moving_pictures_are_refused(admin: httpx.Client) -> None:
    target = io.BytesIO()
    frames = [Image.new("RGB", (8, 8), (colour, 0, 0)) for colour in (0, 99)]
    frames[0].save(target, "WEBP", save_all=True, append_images=frames[1:])
    answer = admin.post("/api/v1/assets", content=target.getvalue())
    assert (answer.status_code, "several frames" in answer.json()["detail"]) == (422, True)


def test_more_bytes_than_allowed_are_refused(admin: httpx.Client) -> None:
    giant = (bytes(1 << 20) for _ in range(33))
    assert admin.post("/api/v1/assets", content=giant).status_code == 413


def test_another_tenants_file_is_as_good_as_none(
    admin: httpx.Client, stranger: httpx.Client, tiny_png: bytes
) -> None:
    secret = tiny_png + b"only ours"
    kept = keep(admin, secret)
    sha, plain = kept["sha256"], kept["url"].partition("?")[0]
    assert stranger.get(f"/api/v1/assets/{sha}").status_code == 404
    assert stranger.delete(f"/api/v1/assets/{sha}").status_code == 404
    assert stranger.get(plain).status_code == 404
    assert httpx.get(plain).status_code == 404
    assert sha not in str(stranger.get("/api/v1/assets").json())
    ours = admin.get(plain)
    assert ours.content == secret
    assert ours.headers["cache-control"].startswith("private")


def test_an_upload_can_be_dropped(admin: httpx.Client, tiny_png: bytes) -> None:
    kept = keep(admin, tiny_png + b"for a while")
    assert admin.delete(f"/api/v1/assets/{kept['sha256']}").status_code == 204
    assert admin.get(f"/api/v1/assets/{kept['sha256']}").status_code == 404


@pytest.mark.parametrize(
    "name",
    ["../luciole.db", "..%2Fluciole.db", "%2e%2e/admin.key", "a" * 64, "a" * 64 + ".exe", "x.png"],
)
def test_names_lead_nowhere_else(guarded: tuple[str, object], name: str) -> None:
    assert httpx.get(f"{guarded[0]}/assets/{name}").status_code == 404


def test_a_signature_opens_one_file_until_its_time_is_over() -> None:
    signer = Signer(b"k" * 32, 60)
    query = dict(pair.split("=") for pair in signer.query("a.png").split("&"))
    expires, signature = int(query["expires"]), query["signature"]
    assert 60 <= expires - time.time() <= 120
    assert signer.opens("a.png", expires, signature)
    assert not signer.opens("b.png", expires, signature)
    assert not signer.opens("a.png", expires + 60, signature)
    assert not signer.opens("a.png", expires, "")
    assert not Signer(b"j" * 32, 60).opens("a.png", expires, signature)
    over = Signer(b"k" * 32, 60)._signature("a.png", 1)
    assert not signer.opens("a.png", 1, over)
