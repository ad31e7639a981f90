"""A language model that proposes phrases: a difference, for it can answer with nothing else."""

import hashlib
import json
from typing import Annotated

import httpx
from pydantic import BaseModel, ConfigDict, Field, StringConstraints, ValidationError

from serving.orchestration.errors import ServiceAway
from serving.orchestration.prompts.changes import Change
from serving.orchestration.prompts.tree import Kind, Origin, Prompt, Slot

MOST = 12
"""Phrases that are taken from one answer."""
_TASK = (
    "You help to describe a picture. Given phrases that are there already, propose up to "
    f"{MOST} short phrases to add. Answer with JSON only: "
    '{"add": [{"text": "...", "slot": "...", "unwanted": false, "why": "..."}]}. '
    f"A slot is one of: {', '.join(Slot)}. Unwanted phrases say what must not be seen. "
    "Repeat nothing, contradict nothing, add nobody that was not asked for."
)


class ModelFailed(ServiceAway):
    """The language model is away, or answered something else than was asked of it."""

    code = "language_model_unavailable"


class _Addition(BaseModel):
    model_config = ConfigDict(extra="forbid")

    text: Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=120)]
    slot: Slot
    unwanted: bool = False
    why: Annotated[str, StringConstraints(max_length=300)] = ""


class _Answer(BaseModel):
    model_config = ConfigDict(extra="forbid")

    add: Annotated[list[_Addition], Field(max_length=MOST)]


class LanguageModel:
    """Speaks to `/chat/completions` of any server in OpenAI's shape, with temperature 0."""

    name = "model"
    order: tuple[Slot, ...] | None = None

    def __init__(self, url: str, model: str, key: str = "", timeout: float = 20.0) -> None:
        """`url` up to and with its `/v1`; `timeout` in seconds."""
        headers = {"Authorization": f"Bearer {key}"} if key else {}
        self._client = httpx.Client(base_url=url, headers=headers, timeout=timeout)
        self._model = model

    def close(self) -> None:
        """Let go of connections."""
        self._client.close()

    def may_propose(self, change: str) -> bool:
        """Its ids are `model/` and a hash of what it adds."""
        return change.startswith(f"{self.name}/")

    def changes(self, prompt: Prompt, seed: int) -> list[Change]:
        """Its proposals but for what is there already; ModelFailed where there is no answer."""
        there = (prompt.wanted.text + "\n" + prompt.negatives.text).casefold()
        return [
            _change(addition)
            for addition in self._ask(prompt, seed).add
            if addition.text.casefold() not in there
        ]

    def _ask(self, prompt: Prompt, seed: int) -> _Answer:
        phrases = [{"slot": p.slot, "text": p.text} for p in prompt.wanted.phrases]
        unwanted = [phrase.text for phrase in prompt.negatives.phrases]
        body = {
            "model": self._model,
            "messages": [
                {"role": "system", "content": _TASK},
                {"role": "user", "content": json.dumps({"phrases": phrases, "unwanted": unwanted})},
            ],
            "temperature": 0,
            "seed": seed % 2**31,
            "response_format": {"type": "json_object"},
        }
        try:
            answer = self._client.post("chat/completions", json=body).raise_for_status().json()
            return _Answer.model_validate_json(answer["choices"][0]["message"]["content"])
        except httpx.HTTPError as error:
            raise ModelFailed("model", f"gave no answer ({type(error).__name__})") from error
        except (ValueError, LookupError, TypeError, ValidationError) as error:
            raise ModelFailed("model", "did not answer with a list of phrases") from error


def _change(addition: _Addition) -> Change:
    """Named after what it says, so that it can be refused when it comes again."""
    digest = hashlib.sha256(f"{addition.unwanted}/{addition.text.casefold()}".encode()).hexdigest()
    name = f"model/{digest[:8]}"
    return Change(
        id=name,
        text=addition.text,
        slot=addition.slot,
        unwanted=addition.unwanted,
        why=addition.why,
        origin=Origin(kind=Kind.MODEL, name=name),
    )
