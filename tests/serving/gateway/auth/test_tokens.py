"""Tokens: what is believed, and every forgery that is not."""

import asyncio
import base64
import hmac
import json
import time
from collections.abc import Mapping
from typing import Any

import pytest
from joserfc import jwt
from joserfc.jwk import ECKey, KeySet, RSAKey

from serving.gateway.auth.tokens import FixedKeys, Issuer, LocalIssuer, RemoteKeys, Verifier
from serving.gateway.refusals import Unauthenticated

ISSUER, AUDIENCE = "https://login.example", "luciole"


@pytest.fixture(scope="module")
def key() -> RSAKey:
    made = RSAKey.generate_key(2048)
    made.ensure_kid()
    return made


def claims(**changes: Any) -> dict[str, Any]:
    now = int(time.time())
    sound = {"iss": ISSUER, "aud": AUDIENCE, "sub": "u1", "exp": now + 60, "iat": now}
    return {name: value for name, value in (sound | changes).items() if value is not None}


def signed(key: Any, said: dict[str, Any], alg: str = "RS256", **header: Any) -> str:
    return jwt.encode({"alg": alg, "kid": key.kid} | header, said, key, algorithms=[alg])


def read(key: RSAKey, token: str) -> dict[str, Any]:
    verifier = Verifier([Issuer(ISSUER, AUDIENCE, FixedKeys(KeySet([key])))])
    return asyncio.run(verifier.claims(token))


def part(content: Mapping[str, Any] | bytes) -> str:
    raw = content if isinstance(content, bytes) else json.dumps(content).encode()
    return base64.urlsafe_b64encode(raw).decode().rstrip("=")


def test_a_sound_token_is_believed(key: RSAKey) -> None:
    assert read(key, signed(key, claims()))["sub"] == "u1"
    assert read(key, signed(key, claims(aud=["other", AUDIENCE])))["sub"] == "u1"


@pytest.mark.parametrize(
    "changes",
    [
        {"aud": "another"},
        {"aud": None},
        {"aud": []},
        {"iss": "https://evil.example"},
        {"iss": None},
        {"iss": [ISSUER]},
        {"sub": None},
        {"exp": None},
        {"exp": 1},
        {"exp": "soon"},
        {"nbf": 2**40},
    ],
)
def test_a_claim_that_is_wrong_or_missing_is_refused(key: RSAKey, changes: dict[str, Any]) -> None:
    with pytest.raises(Unauthenticated):
        read(key, signed(key, claims(**changes)))


def test_a_token_without_signature_is_refused(key: RSAKey) -> None:
    for header in ({"alg": "none"}, {"alg": "none", "kid": key.kid}, {"alg": "NONE"}):
        with pytest.raises(Unauthenticated):
            read(key, f"{part(header)}.{part(claims())}.")


def test_the_public_key_is_not_taken_for_a_shared_secret(key: RSAKey) -> None:
    said = f"{part({'alg': 'HS256', 'kid': key.kid})}.{part(claims())}"
    for public in (key.as_pem(private=False), json.dumps(key.as_dict(private=False)).encode()):
        forged = hmac.digest(public, said.encode(), "sha256")
        with pytest.raises(Unauthenticated):
            read(key, f"{said}.{part(forged)}")


def test_another_key_under_a_known_name_is_refused(key: RSAKey) -> None:
    other = RSAKey.generate_key(2048, parameters={"kid": str(key.kid)})
    with pytest.raises(Unauthenticated, match="BadSignature"):
        read(key, signed(other, claims()))


def test_an_unknown_or_missing_key_name_is_refused(key: RSAKey) -> None:
    for header in ({"kid": "unknown"}, {"kid": ""}):
        with pytest.raises(Unauthenticated):
            read(key, signed(key, claims(), **header))
    nameless = jwt.encode({"alg": "RS256"}, claims(), key, algorithms=["RS256"])
    with pytest.raises(Unauthenticated):
        read(key, nameless)


@pytest.mark.parametrize(
    "token", ["..", "a.b.c", "e30.e30.", "[].[].x", "x" * 9000 + "..", "é.é.é"]
)
def test_what_is_no_token_is_refused(key: RSAKey, token: str) -> None:
    with pytest.raises(Unauthenticated):
        read(key, token)


def test_a_token_of_ours_is_not_taken_for_the_providers(key: RSAKey) -> None:
    local = LocalIssuer(ECKey.generate_key("P-256"), name=ISSUER)
    with pytest.raises(Unauthenticated):
        read(key, local.sign({"sub": "u1"}, 60))


def test_keys_are_read_again_for_a_new_name_and_not_for_every_forgery(key: RSAKey) -> None:
    fetched: list[int] = []

    async def fetch() -> Mapping[str, Any]:
        fetched.append(1)
        shared = {"kty": "oct", "k": "c2VjcmV0LXNlY3JldC1zZWNyZXQ", "kid": "s"}
        return {"keys": [key.as_dict(private=False), shared]}

    async def ask() -> None:
        verifier = Verifier([Issuer(ISSUER, AUDIENCE, RemoteKeys(fetch))])
        for _ in range(3):
            assert (await verifier.claims(signed(key, claims())))["sub"] == "u1"
        for forged in range(20):
            with pytest.raises(Unauthenticated):
                await verifier.claims(signed(key, claims(), kid=f"forged {forged}"))

    asyncio.run(ask())
    assert len(fetched) == 1
