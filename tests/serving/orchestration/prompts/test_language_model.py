"""A language model behind the protocol of the rule packs, asked over HTTP."""

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from serving.orchestration.prompts.engine import PromptEngine
from serving.orchestration.prompts.language_model import LanguageModel, ModelFailed
from serving.orchestration.prompts.lexicon import Lexicon
from serving.orchestration.prompts.reading import Reader, Syntax, write

READER = Reader(Lexicon.shipped(), {})


@contextmanager
def answering(content: str, status: int = 200) -> Iterator[tuple[LanguageModel, list[Any]]]:
    """A server that answers every chat with these words, and what it was asked."""
    asked: list[Any] = []

    class Chat(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            length = int(self.headers["content-length"])
            asked.append((self.path, json.loads(self.rfile.read(length))))
            body = json.dumps({"choices": [{"message": {"content": content}}]}).encode()
            self.send_response(status)
            self.send_header("content-length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Chat)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    model = LanguageModel(f"http://127.0.0.1:{server.server_port}/v1", "any")
    try:
        yield model, asked
    finally:
        model.close()
        server.shutdown()
        thread.join()
        server.server_close()


ADDITIONS = json.dumps(
    {
        "add": [
            {"text": "wet street", "slot": "setting", "why": "Rain makes it wet."},
            {"text": "In Rain", "slot": "setting"},
            {"text": "umbrella", "slot": "other", "unwanted": True},
        ]
    }
)


def test_its_phrases_are_added_to_what_stays_as_it_was_typed() -> None:
    with answering(ADDITIONS) as (model, asked):
        engine = PromptEngine(READER, [model], None)
        prompt = READER.read("a girl in rain", "blurry")
        whole = engine.expand(prompt, [model])
        refused = engine.expand(prompt, [model], refused=[whole.proposals[0].change.id])
    assert write(whole.prompt.wanted, Syntax.A1111) == "a girl in rain, wet street"
    assert write(whole.prompt.negatives, Syntax.A1111) == "blurry, umbrella"
    assert write(refused.prompt.wanted, Syntax.A1111) == "a girl in rain"
    path, body = asked[0]
    assert path == "/v1/chat/completions"
    told = json.loads(body["messages"][1]["content"])
    assert told["phrases"][0] == {"slot": "subject", "text": "a girl"}


@pytest.mark.parametrize(
    "content",
    [
        "a girl in heavy rain, masterpiece",
        '{"prompt": "something else"}',
        '{"add": [{"text": "x", "slot": "nowhere"}]}',
        '{"add": [' + ", ".join(['{"text": "x", "slot": "style"}'] * 13) + "]}",
    ],
)
def test_anything_but_a_difference_is_an_error(content: str) -> None:
    with answering(content) as (model, _), pytest.raises(ModelFailed, match="list of phrases"):
        model.changes(READER.read("a girl"), 0)


def test_a_model_that_is_away_is_an_error() -> None:
    with answering("", status=500) as (model, _), pytest.raises(ModelFailed, match="no answer"):
        model.changes(READER.read("a girl"), 0)
