"""Logging in with an OpenID provider: authorization code with PKCE, then a session of ours."""

from typing import Any

import httpx2
import structlog
from authlib.integrations.base_client import OAuthError
from authlib.integrations.starlette_client import OAuth, StarletteOAuth2App
from fastapi import FastAPI, Request
from fastapi.responses import RedirectResponse, Response
from joserfc.errors import JoseError
from starlette.middleware.sessions import SessionMiddleware

from luciole.domain import InvalidRequest
from serving.gateway import errors
from serving.gateway.addresses import Addresses
from serving.gateway.auth.authenticator import Authenticator
from serving.gateway.auth.needs import SESSION_COOKIE, from_our_pages
from serving.gateway.auth.provider import Provider
from serving.gateway.auth.tokens import ProviderUnavailable
from serving.gateway.refusals import Forbidden, Unauthenticated
from serving.settings import Settings

UNDER_WAY = 600
"""Seconds that a login may take."""
log = structlog.get_logger()


def login_app(
    authenticator: Authenticator, provider: Provider, settings: Settings, secret: str
) -> FastAPI:
    """`/login`, `/callback` and `/logout`, to be mounted; `secret` seals what is under way."""
    app = FastAPI(openapi_url=None)
    errors.install(app)
    secure = (settings.public_url or "").startswith("https:")
    app.add_middleware(
        SessionMiddleware,
        secret_key=secret,
        session_cookie="luciole_login",
        max_age=UNDER_WAY,
        same_site="lax",
        https_only=secure,
    )
    addresses, client = Addresses(settings.public_url), _client(provider, settings)

    @app.get("/login")
    async def login(request: Request, next: str = "/") -> Response:  # noqa: A002 (the usual word)
        request.session["next"] = _own_path(next)
        back = addresses.of(request, "/auth/callback")
        try:
            answer: Response = await client.authorize_redirect(request, back)
        except (httpx2.HTTPError, OAuthError) as error:
            raise _away(error) from None
        return answer

    @app.get("/callback")
    async def callback(request: Request) -> Response:
        claims = await _claims(client, request)
        who = await authenticator.directory.user(
            provider.issuer, claims["sub"], _tenant(claims, settings), claims.get("email")
        )
        target = request.session.pop("next", "/")
        answer = RedirectResponse(target, status_code=303)
        answer.set_cookie(
            SESSION_COOKIE,
            authenticator.token_for(who, settings.session_seconds),
            max_age=int(settings.session_seconds),
            httponly=True,
            secure=secure,
            samesite="lax",
        )
        return answer

    @app.post("/logout", status_code=204)
    async def logout(request: Request) -> Response:
        if not from_our_pages(request):
            raise Forbidden("origin", "only this service's own pages log out")
        answer = Response(status_code=204)
        answer.delete_cookie(SESSION_COOKIE)
        return answer

    return app


def _client(provider: Provider, settings: Settings) -> StarletteOAuth2App:
    secret = settings.oidc_client_secret
    registry = OAuth()
    registry.register(
        "provider",
        client_id=settings.oidc_client_id,
        client_secret=None if secret is None else secret.get_secret_value(),
        server_metadata_url=provider.metadata_url,
        client_kwargs={"scope": "openid email profile", "code_challenge_method": "S256"},
    )
    client: StarletteOAuth2App = registry.create_client("provider")
    return client


async def _claims(client: StarletteOAuth2App, request: Request) -> dict[str, Any]:
    """What the provider says of who came back; state, nonce and signature are checked."""
    try:
        token = await client.authorize_access_token(request)
    except httpx2.HTTPError as error:
        raise _away(error) from None
    except (OAuthError, JoseError, ValueError) as error:
        log.warning("a login failed", kind=type(error).__name__)
        words = f"the login was not completed ({type(error).__name__}); begin it again"
        raise Unauthenticated("login", words) from None
    claims = token.get("userinfo")
    if not isinstance(claims, dict) or not isinstance(claims.get("sub"), str):
        raise Unauthenticated("login", "the provider says not who it is")
    return claims


def _tenant(claims: dict[str, Any], settings: Settings) -> str | None:
    if settings.oidc_tenant_claim is None:
        return None
    named = claims.get(settings.oidc_tenant_claim)
    if not isinstance(named, str) or not named:
        raise Forbidden("login", f"the provider names no {settings.oidc_tenant_claim!r}")
    return named


def _own_path(target: str) -> str:
    """InvalidRequest for what would lead to another site."""
    if not target.startswith("/") or target[1:2] in {"/", "\\"} or not target.isprintable():
        raise InvalidRequest("next", "must be a path of this service")
    return target


def _away(error: Exception) -> ProviderUnavailable:
    log.warning("the provider does not answer", kind=type(error).__name__)
    return ProviderUnavailable("login", "the identity provider does not answer")
