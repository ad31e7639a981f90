"""What a service can be told from outside, all by environment variables named LUCIOLE_..."""

import os
from enum import StrEnum
from pathlib import Path

from pydantic import Field, SecretStr
from pydantic_settings import BaseSettings, SettingsConfigDict

from luciole.compiled import Runtime
from luciole.domain import InvalidRequest


class EngineChoice(StrEnum):
    """Where graphs run; `auto` is Triton wherever it can be had, else in process."""

    AUTO = "auto"
    ONNX = "onnx"
    OPENVINO = "openvino"
    """In process too, in bf16: for CPUs that have it."""
    TRITON = "triton"


class AuthChoice(StrEnum):
    """Who must show a key: `local` trusts whoever sits at this machine, `keys` nobody.

    `auto` is `local` where only this machine can reach the service, else `keys`.
    """

    AUTO = "auto"
    LOCAL = "local"
    KEYS = "keys"


class Settings(BaseSettings):
    """Every choice of a running service; read once, by whoever starts it."""

    # An empty variable is none: compose files have no other way to leave one out.
    model_config = SettingsConfigDict(env_prefix="LUCIOLE_", env_ignore_empty=True, frozen=True)

    bundle: Path = Path("out/bundle")
    engine: EngineChoice = EngineChoice.AUTO
    host: str = "127.0.0.1"
    port: int = Field(default=8000, ge=0, le=65535)
    """0 takes any free one."""
    threads: int = Field(default_factory=lambda: os.cpu_count() or 1, ge=1)
    """That one inference may use."""
    log_level: str = "INFO"
    triton_runtime: Runtime = Runtime.ONNX
    """What Triton's models run: the ONNX graphs, or what was compiled for one machine."""
    triton_folder: Path = Path("out/triton")
    """For the server's model repository and its log."""
    triton_url: str | None = None
    """host:port of a Triton that runs already, for gRPC; it must hold this very bundle."""
    triton_bank: Path | None = None
    """The folder of styles that such a Triton has mapped too; without one, it draws none."""
    triton_shares: int = Field(default=4, ge=1)
    """How many processes may load styles into it at a time."""

    queue_pictures: int = Field(default=64, ge=1)
    """Accepted and not yet drawn; beyond them callers are told to come back."""
    pictures_at_once: int = Field(default=8, ge=1)
    """Being drawn at most; their steps share calls of the engine."""
    rows_at_once: int = Field(default=16, ge=1)
    """In one call of the engine; a picture with guidance takes two."""
    style_slots: int = Field(default=33, ge=2)
    """Places for styles beside the denoiser; one of them stays empty."""
    request_seconds: float = Field(default=120.0, gt=0)
    recovery_seconds: float = Field(default=20.0, gt=0)
    """How long accepted work waits for an engine that is being healed."""
    ready_seconds: float = Field(default=2.0, ge=0)
    """How long the answer of /readyz may be repeated."""
    ready_patience: float = Field(default=10.0, gt=0)
    """How long /readyz itself waits for the engine before it says 503."""
    body_bytes: int = Field(default=262_144, ge=1024)

    state_folder: Path = Path("out/state")
    """What the service must not forget: its database, objects and keys."""
    database_url: str | None = None
    """`postgresql://...`; without one, a SQLite file in the state's folder."""
    objects_url: str | None = None
    """`s3://bucket/prefix`; without one, a folder of the state's."""
    redis_url: SecretStr | None = None
    """For rate limits and events shared by several gateways; without one, they are per process."""
    public_url: str | None = None
    """How callers reach the service through a proxy; without one, as the request says."""

    workers: int = Field(default=1, ge=0)
    """Processes that draw accepted jobs; 0 where other machines do."""
    worker_jobs: int = Field(default=2, ge=1)
    """Jobs that one worker draws together."""
    worker_tries: int = Field(default=5, ge=1)
    """At a frame that brings its worker down, before the job is given up as poisoned."""
    lease_seconds: float = Field(default=15.0, gt=0)
    """Without a sign of life from a worker, before its jobs go to others."""
    orphan_seconds: float = Field(default=86_400.0, gt=0)
    """How old a file must be that nothing refers to, before it is removed."""
    stripe_key: SecretStr | None = None
    """With it, bills go to Stripe's meters."""
    stripe_event: str = "luciole_drawing"
    """The meter's event; it counts thousandths of a step x megapixel."""
    stripe_url: str | None = None
    """Another server that speaks as Stripe does."""
    webhooks_inside: bool = False
    """Whether webhooks may go to this network and without TLS, as for tests."""

    styles_folder: Path = Path("out/styles")
    """LoRA files that are served beside the bundle's styles."""
    packs_folder: Path | None = None
    """More rule packs for prompts."""
    wildcards_folder: Path | None = None
    """Text files with a line for each choice: colour.txt is __colour__."""
    policy: Path | None = None
    """What is not drawn, instead of the policy that comes along."""
    language_model_url: str | None = None
    """A server in OpenAI's shape, up to its /v1, that may propose words for prompts."""
    language_model: str = "gpt-5-mini"
    language_model_key: SecretStr = SecretStr("")
    moderation_url: str | None = None
    """A server in OpenAI's shape, up to its /v1, that judges words and pictures."""
    moderation_model: str = "omni-moderation-latest"
    moderation_key: SecretStr = SecretStr("")

    auth: AuthChoice = AuthChoice.AUTO
    oidc_issuer: str | None = None
    """An OpenID provider whose tokens are accepted and whose users may log in."""
    oidc_audience: str = "luciole"
    """Whom the provider's access tokens must be made for."""
    oidc_client_id: str | None = None
    """With it, /auth/login leads to the provider."""
    oidc_client_secret: SecretStr | None = None
    oidc_tenant_claim: str | None = None
    """The claim that names a user's tenant; without one, each user has their own."""
    session_seconds: float = Field(default=8 * 3600.0, gt=0)

    rate_units: int = Field(default=1_200_000, ge=1)
    """Thousandths of a step x megapixel that a tenant may ask for in a minute."""
    rate_requests: int = Field(default=6_000, ge=1)
    """Requests of a tenant in a minute."""
    upload_bytes: int = Field(default=32 * 2**20, ge=1024)
    upload_pixels: int = Field(default=40_000_000, ge=1)
    """Read from a picture's header, before anything is decoded."""
    signed_seconds: float = Field(default=3600.0, gt=0)
    """How long an asset's signed address opens it."""
    credentials: bool = True
    """Pictures carry signed Content Credentials (C2PA)."""
    c2pa_chain: Path | None = None
    """PEM certificates, the signer's first; without them, a test authority is made."""
    c2pa_key: Path | None = None

    @property
    def runtime(self) -> Runtime:
        """What a bundle must have been made ready for."""
        own = {EngineChoice.ONNX: Runtime.ONNX, EngineChoice.OPENVINO: Runtime.OPENVINO}
        return own.get(self.engine, self.triton_runtime)

    @property
    def database(self) -> str:
        """The database's URL."""
        file = self.state_folder.resolve() / "luciole.db"
        return self.database_url or f"sqlite:///{file}"

    @property
    def objects(self) -> str:
        """The object store's URL."""
        folder = self.state_folder.resolve() / "objects"
        return self.objects_url or folder.as_uri()

    @property
    def open_to_owner(self) -> bool:
        """Whether requests from this machine need no key; InvalidRequest if it is not alone."""
        alone = self.host in {"127.0.0.1", "::1", "localhost"}
        if self.auth is AuthChoice.LOCAL and not alone:
            raise InvalidRequest("LUCIOLE_AUTH", f"cannot be local while others reach {self.host}")
        return alone and self.auth is not AuthChoice.KEYS
