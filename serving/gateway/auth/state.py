"""What must outlive the process for callers to be known: the signing key and the first API key."""

import json
import os
import secrets
from pathlib import Path

import structlog
from joserfc.jwk import ECKey

from serving.gateway.auth.authenticator import Authenticator, TokenRules, everything
from serving.gateway.auth.directory import Directory
from serving.gateway.auth.principal import EVERYTHING
from serving.gateway.auth.provider import Provider
from serving.gateway.auth.tokens import Issuer, LocalIssuer, RemoteKeys, Verifier
from serving.settings import Settings

LOCAL_TENANT = "local"
"""Whose the work is on a machine that is open to its owner, and of the first key."""
log = structlog.get_logger()


def authenticator(
    settings: Settings, directory: Directory, provider: Provider | None
) -> Authenticator:
    """Know our own tokens, those of the provider if there is one, and API keys."""
    local = LocalIssuer(signing_key(settings.state_folder / "signing.json"))
    issuers = [local.issuer]
    if provider is not None:
        keys = RemoteKeys(provider.keys)
        issuers.append(Issuer(provider.issuer, settings.oidc_audience, keys))
    return Authenticator(
        directory,
        Verifier(issuers),
        local,
        owner=everything(LOCAL_TENANT, "owner") if settings.open_to_owner else None,
        rules=TokenRules(settings.oidc_tenant_claim),
    )


def signing_key(file: Path) -> ECKey:
    """The key in the file, made at the first start and readable by its owner alone."""
    if not file.exists():
        made = ECKey.generate_key("P-256")
        made.ensure_kid()
        write_secret(file, json.dumps(made.as_dict(private=True)))
    return ECKey.import_key(json.loads(file.read_text()))


def secret(file: Path) -> bytes:
    """32 bytes of chance in the file, made at the first start."""
    if not file.exists():
        write_secret(file, secrets.token_hex(32))
    return bytes.fromhex(file.read_text())


async def welcome(directory: Directory, settings: Settings) -> None:
    """Make the first tenant and, where keys are needed, the first key; the file says it once."""
    await directory.ensure_tenant(LOCAL_TENANT, "This machine")
    if settings.open_to_owner or await directory.count_keys():
        return
    made = await directory.issue(LOCAL_TENANT, "first key", EVERYTHING)
    file = settings.state_folder / "admin.key"
    file.unlink(missing_ok=True)
    write_secret(file, made.secret)
    log.warning("made the first API key", file=str(file))


def write_secret(file: Path, words: str) -> None:
    """Write a new file that only its owner reads; one that another start just made is kept."""
    file.parent.mkdir(parents=True, exist_ok=True)
    part = file.with_name(f".{file.name}.{os.getpid()}")
    with os.fdopen(os.open(part, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as opened:
        opened.write(words)
    try:
        os.link(part, file)
    except FileExistsError:
        log.info("kept what another start has made", file=str(file))
    finally:
        part.unlink()
