"""Signs a finished file; whatever is written into it later breaks the signature."""

import hashlib
import io
from importlib.metadata import version
from typing import Any

from c2pa import Builder, C2paSignerInfo, C2paSigningAlg, Context, Settings, Signer
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from luciole.domain import InvalidRequest
from serving.gateway.credentials.authority import Identity

SOURCE = "http://cv.iptc.org/newscodes/digitalsourcetype/"
DRAWN, COMPOSED = "trainedAlgorithmicMedia", "compositeWithTrainedAlgorithmicMedia"
"""Drawn by a model alone; drawn into somebody's picture, or put together of pictures and words."""


class Credentials:
    """Many threads may sign at once."""

    def __init__(self, identity: Identity) -> None:
        info = C2paSignerInfo(_algorithm(identity.key), identity.chain, identity.key, None)
        self.anchor = identity.anchor
        self._signer = Signer.from_info(info)
        thumbnails = {"builder": {"thumbnail": {"enabled": False}}}
        self._context = Context(Settings.from_dict(thumbnails))
        self._generator = {"name": "Luciole", "version": version("luciole")}
        self._chain, self._kinds = identity.chain, frozenset(Builder.get_supported_mime_types())

    def takes(self, mime: str) -> bool:
        """Whether files of this media type can carry them: PNG, WebP, JPEG, GIF, MP4, not JSON."""
        return mime in self._kinds

    def mark(self, content: bytes) -> str:
        """Of what is to be signed and of who signs: two signatures of the same differ."""
        return hashlib.sha256(hashlib.sha256(content).digest() + self._chain).hexdigest()

    def composed(self, content: bytes, mime: str) -> bytes:
        """What was put together of pictures, signed."""
        return self.signed(content, mime, COMPOSED)

    def signed(self, content: bytes, mime: str, kind: str) -> bytes:
        """The file with a manifest that says how it came to be: DRAWN or COMPOSED."""
        source, target = io.BytesIO(content), io.BytesIO()
        with Builder(self._manifest(kind), context=self._context) as builder:
            builder.sign(self._signer, mime, source, target)
        return target.getvalue()

    def _manifest(self, kind: str) -> dict[str, Any]:
        action = {"action": "c2pa.created", "digitalSourceType": SOURCE + kind}
        return {
            "claim_generator_info": [self._generator],
            "title": "picture",
            "assertions": [{"label": "c2pa.actions.v2", "data": {"actions": [action]}}],
        }


def _algorithm(key: bytes) -> C2paSigningAlg:
    """What a key signs with; InvalidRequest for one that C2PA does not know."""
    loaded = load_pem_private_key(key, password=None)
    if isinstance(loaded, ec.EllipticCurvePrivateKey):
        curves = {256: C2paSigningAlg.ES256, 384: C2paSigningAlg.ES384, 521: C2paSigningAlg.ES512}
        return curves[loaded.curve.key_size]
    if isinstance(loaded, ed25519.Ed25519PrivateKey):
        return C2paSigningAlg.ED25519
    if isinstance(loaded, rsa.RSAPrivateKey):
        return C2paSigningAlg.PS256
    raise InvalidRequest("LUCIOLE_C2PA_KEY", "must be an EC, Ed25519 or RSA key")
