"""The client for programs that wait."""

import time
from collections.abc import Iterator, Sequence
from datetime import datetime
from types import TracebackType
from typing import Any, Self, TypeVar

import httpx

from luciole.client import calls
from luciole.client.calls import Call, checked, pause_of
from luciole.client.errors import Unreachable
from luciole.client.pauses import may_repeat, pause
from luciole.client.records import (
    AcceptedJob,
    Asset,
    Event,
    Job,
    MadeFile,
    Me,
    NewKey,
    NewWebhook,
    Output,
    Page,
    Picture,
    Usage,
    Webhook,
)
from luciole.client.sections import Characters, Storyboards, Versions, Words
from luciole.client.stream import Lines

T = TypeVar("T")


class Luciole:
    """A connection to a service; errors are those of `luciole.client.errors`."""

    def __init__(
        self, address: str, key: str | None = None, timeout: float = 60.0, retries: int = 3
    ) -> None:
        """`key`: an API key or token; `retries`: after refusals that pass, with growing pauses."""
        headers = {} if key is None else {"authorization": f"Bearer {key}"}
        self._http = httpx.Client(base_url=address, headers=headers, timeout=timeout)
        self._retries = retries
        self.characters = Characters(self._send)
        self.storyboards = Storyboards(self._send)
        self.versions = Versions(self._send)
        self.words = Words(self._send)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Let go of the connections."""
        self._http.close()

    def generate(
        self, prompt: str, *, idempotency_key: str | None = None, **more: Any
    ) -> AcceptedJob:
        """Have pictures drawn; `more`: negative_prompt, size, num_variations, seeds, style, ..."""
        return self._send(calls.generate(prompt, idempotency_key, more))

    def job(self, job: str) -> Job:
        """How a job stands."""
        return self._send(calls.job(job))

    def jobs(
        self,
        status: Sequence[str] = (),
        project: str | None = None,
        limit: int = 50,
        cursor: str | None = None,
    ) -> Page[Job]:
        """The newest first."""
        return self._send(calls.jobs(status, project, limit, cursor))

    def cancel(self, job: str) -> Job:
        """Stop a job at its next step."""
        return self._send(calls.cancel(job))

    def wait(self, job: str, timeout: float = 900.0) -> Job:
        """Return once the job has ended; TimeoutError after so many seconds."""
        until, look = time.monotonic() + timeout, 0.05
        while not (found := self.job(job)).ended:
            if time.monotonic() > until:
                raise TimeoutError(f"{job} is {found.status} after {timeout:g} s")
            time.sleep(look)
            look = min(1.0, 1.5 * look)
        return found

    def events(
        self, job: str | None = None, project: str | None = None, since: int | None = None
    ) -> Iterator[Event]:
        """What happens, without end; after a break it goes on where it was."""
        lines, breaks = Lines(since), 0
        asked = {"job": job, "project": project}
        chosen: dict[str, str | int] = {
            name: value for name, value in asked.items() if value is not None
        }
        while True:
            try:
                with self._http.stream(
                    "GET", "/api/v1/events", params=chosen | lines.query
                ) as answer:
                    if not answer.is_success:
                        answer.read()
                    for line in checked(answer).iter_lines():
                        if (event := lines.take(line)) is not None:
                            breaks = 0
                            yield event
            except httpx.TransportError as error:
                if breaks >= self._retries:
                    raise Unreachable(str(error)) from error
            breaks += 1
            time.sleep(pause(breaks, None))

    def upload(self, content: bytes) -> Asset:
        """Keep a PNG, JPEG or WebP picture; its hash names it in plans."""
        return self._send(calls.upload(content))

    def asset(self, sha256: str) -> Asset:
        """What is known of a file."""
        return self._send(calls.asset(sha256))

    def assets(self, limit: int = 50, cursor: str | None = None) -> Page[Asset]:
        """The newest first."""
        return self._send(calls.assets(limit, cursor))

    def content(self, of: Asset | Output | MadeFile) -> bytes:
        """The file's bytes."""
        return self._send(calls.content(of.url))

    def draw(self, prompt: str, **more: Any) -> list[Picture]:
        """Wait for pictures; `more`: size, n, seed, num_inference_steps, output_format, ..."""
        return self._send(calls.draw(prompt, more))

    def usage(self, since: datetime | None = None, until: datetime | None = None) -> Usage:
        """What was used, this month unless told otherwise."""
        return self._send(calls.usage(since, until))

    def me(self) -> Me:
        """How the service sees us."""
        return self._send(calls.me())

    def make_key(self, name: str, scopes: Sequence[str]) -> NewKey:
        """A new key; its secret is told this one time."""
        return self._send(calls.make_key(name, scopes))

    def revoke_key(self, key: str) -> None:
        """By its id."""
        self._send(calls.revoke_key(key))

    def make_webhook(self, url: str, types: Sequence[str] = ()) -> NewWebhook:
        """Hear of the ends of jobs at `url`."""
        return self._send(calls.make_webhook(url, types))

    def webhooks(self) -> list[Webhook]:
        """Where ends of jobs are told."""
        return self._send(calls.webhooks())

    def remove_webhook(self, webhook: str) -> None:
        """By its id."""
        self._send(calls.remove_webhook(webhook))

    def _send(self, call: Call[T]) -> T:
        tries = 0
        while True:
            tries += 1
            last = tries > self._retries
            try:
                answer = self._http.request(
                    call.method, call.path, params=call.query, headers=call.headers,
                    json=call.json, content=call.content, data=call.data, files=call.files,
                )  # fmt: skip
            except httpx.TransportError as error:
                if last or not call.repeatable:
                    raise Unreachable(f"{type(error).__name__}: {error}") from error
                time.sleep(pause(tries, None))
                continue
            if last or not may_repeat(call, answer):
                return call.read(checked(answer))
            time.sleep(pause(tries, pause_of(answer)))
