"""Classifiers that the content policy can ask: a moderation service, and an ONNX graph."""

import base64
import io
from collections.abc import Sequence
from pathlib import Path

import httpx
import numpy as np
import onnxruntime
from jaxtyping import UInt8
from PIL import Image

from luciole.domain import BundleError
from serving.orchestration.errors import ServiceAway
from serving.orchestration.policy import Scores


class ModerationService:
    """Any server with OpenAI's `/moderations`; judges words and pictures."""

    def __init__(self, url: str, model: str, key: str = "", timeout: float = 10.0) -> None:
        """`url` up to and with its `/v1`; `timeout` in seconds."""
        headers = {"Authorization": f"Bearer {key}"} if key else {}
        self._client = httpx.Client(base_url=url, headers=headers, timeout=timeout)
        self._model = model

    def close(self) -> None:
        """Let go of connections."""
        self._client.close()

    def words(self, text: str) -> Scores:
        """`sexual/minors` there is `sexual_minors` here."""
        return self._scores([{"type": "text", "text": text}])

    def picture(self, pixels: UInt8[np.ndarray, "height width 3"]) -> Scores:
        """Of the picture as a PNG."""
        file = io.BytesIO()
        Image.fromarray(pixels).save(file, "PNG", compress_level=1)
        url = f"data:image/png;base64,{base64.b64encode(file.getvalue()).decode()}"
        return self._scores([{"type": "image_url", "image_url": {"url": url}}])

    def _scores(self, asked: list[dict[str, object]]) -> Scores:
        try:
            body = {"model": self._model, "input": asked}
            answer = self._client.post("moderations", json=body).raise_for_status().json()
            scores = answer["results"][0]["category_scores"]
            named = {name.replace("/", "_").replace("-", "_"): s for name, s in scores.items()}
            return {name: float(score) for name, score in named.items() if score is not None}
        except httpx.HTTPError as error:
            words = f"gave no answer ({type(error).__name__}), and nothing is drawn unjudged"
            raise ServiceAway("moderation", words) from error
        except (ValueError, LookupError, TypeError, AttributeError) as error:
            raise ServiceAway("moderation", "did not answer with scores") from error


class OnnxPictures:
    """A graph from pictures [1, 3, size, size], each colour less `mean` over `std`, to logits."""

    def __init__(
        self,
        file: Path,
        labels: Sequence[str],
        mean: Sequence[float] = (0.5, 0.5, 0.5),
        std: Sequence[float] = (0.5, 0.5, 0.5),
    ) -> None:
        """`labels` are the policy's words for the logits; BundleError if they are not as many."""
        self._session = onnxruntime.InferenceSession(file, providers=["CPUExecutionProvider"])
        self._labels = tuple(labels)
        self._mean, self._std = np.array(mean, np.float32), np.array(std, np.float32)
        [taken], [given] = self._session.get_inputs(), self._session.get_outputs()
        self._input, self._size = taken.name, int(taken.shape[2])
        if given.shape[-1] != len(self._labels):
            words = f"gives {given.shape[-1]} numbers for {len(self._labels)} labels"
            raise BundleError(file.name, words)

    def picture(self, pixels: UInt8[np.ndarray, "height width 3"]) -> Scores:
        """The softmax of the logits."""
        square = (self._size, self._size)
        small = Image.fromarray(pixels).resize(square, Image.Resampling.BICUBIC)
        levels = (np.asarray(small, np.float32) / 255 - self._mean) / self._std
        fed = {self._input: np.ascontiguousarray(levels.transpose(2, 0, 1)[None])}
        logits = np.asarray(self._session.run(None, fed)[0], np.float64)[0]
        shares = np.exp(logits - logits.max())
        return dict(zip(self._labels, (shares / shares.sum()).tolist(), strict=True))
