"""The denoiser's answers to the loop: each row with its own words, styles and guides."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from luciole.blending import Blend
from luciole.bundle import TensorSpec
from luciole.conditioning import Conditioning, run_in_batches
from luciole.domain import EngineBadOutput
from luciole.engines import Engine
from luciole.engines.bank import Mix
from luciole.guided import ANCHORS, GUIDED, Control, Guided
from luciole.sampling import Row, Trajectory

Tensors = dict[str, NDArray[Any]]
PLAIN = "denoiser"
UNHEARD = np.float32(-10_000)
"""Added to the scores of anchors that are not to be read: their share is exactly 0."""


@dataclass(frozen=True)
class Voice(Row):
    """A row as one of its styles would draw it: the `number`-th answer to `row`."""

    row: int
    number: int
    mix: Mix | None

    def goes_with(self, other: "Voice") -> bool:
        """Whether both are of one sample and one style."""
        return (self.sample, self.number) == (other.sample, other.number)


class Predict:
    """Asks the plain graph for rows that nothing guides now, the guided one for the others.

    Rows of equal shapes go together. What a row gets depends on its own plan alone.
    """

    def __init__(
        self,
        engine: Engine,
        trajectories: Sequence[Trajectory],
        conditioning: Sequence[Conditioning],
        blends: Sequence[Blend],
        guides: Sequence[Guided],
    ) -> None:
        self._engine, self._trajectories = engine, trajectories
        self._conditioning, self._blends, self._guides = conditioning, blends, guides
        self._controls = engine.bundle.manifest.controls

    def __call__(
        self, latents: NDArray[np.float32], timesteps: NDArray[np.float32], rows: Sequence[Row]
    ) -> NDArray[np.float32]:
        """One prediction per row."""
        voices = [voice for n, row in enumerate(rows) for voice in self._voices(n, row)]
        plain = [
            {**self._told(one), "latents": latents[one.row], "timestep": timesteps[one.row]}
            for one in voices
        ]
        guided: list[Tensors] = [{} for _ in voices]
        self._add_controls(voices, plain, guided)
        self._add_anchors(voices, plain, guided)
        for n, voice in enumerate(voices):
            guided[n] |= self._identity(voice)
        asked = [
            (GUIDED, one | self._filled(one, more)) if more else (PLAIN, one)
            for one, more in zip(plain, guided, strict=True)
        ]
        answers = self._run(asked, "prediction")
        expected = latents.shape[1:]
        for answer in answers:
            if answer.shape != expected:
                words = f"has shape {answer.shape}, not {expected}"
                raise EngineBadOutput("prediction", words)
        of_rows: list[list[NDArray[Any]]] = [[] for _ in rows]
        for voice, answer in zip(voices, answers, strict=True):
            of_rows[voice.row].append(answer)
        return np.stack(
            [
                self._blends[row.sample].together(np.stack(said))
                for row, said in zip(rows, of_rows, strict=True)
            ]
        )

    def _voices(self, n: int, row: Row) -> list[Voice]:
        mixes = self._blends[row.sample].voices(self._step(row))
        return [Voice(row.sample, row.negative, n, i, mix) for i, mix in enumerate(mixes)]

    def _told(self, voice: Voice) -> Tensors:
        told, mix = self._conditioning[voice.sample], voice.mix
        said = told.words(voice)
        time_ids = np.array(told.time_ids, np.float32)
        inputs: Tensors = {"text_states": said.states, "pooled": said.pooled, "time_ids": time_ids}
        if mix is not None:
            inputs |= {"style_slot": mix.slots, "style_weight": mix.weights}
        return inputs

    def _step(self, row: Row) -> int:
        return self._trajectories[row.sample].done

    def _identity(self, row: Row) -> Tensors:
        told = self._guides[row.sample].identities
        if told is None:
            return {}
        tokens = told.hidden if row.negative else told.shown
        return {
            "identity_tokens": tokens,
            "identity_scale": told.scale,
            "identity_mask": told.mask,
        }

    def _add_controls(
        self, rows: Sequence[Voice], plain: Sequence[Tensors], guided: Sequence[Tensors]
    ) -> None:
        """Residuals of every control that counts in this step, weighted and added up."""
        asked: list[tuple[str, Tensors]] = []
        whose: list[tuple[list[int], float]] = []
        for n, row in enumerate(rows):
            for control in self._counting(row):
                spec = self._controls[control.kind]
                listeners = [n] if spec.words else self._rows_of(row, rows)
                if n == listeners[0]:
                    asked.append((spec.graph, self._drawn(spec.graph, plain[n], control)))
                    whose.append((listeners, control.weight))
        for answer, (listeners, weight) in zip(self._run_all(asked), whose, strict=True):
            for name, residual in answer.items():
                weighted = np.float32(weight) * residual
                for n in listeners:
                    there = guided[n].get(name)
                    guided[n][name] = weighted if there is None else there + weighted

    def _counting(self, row: Row) -> list[Control]:
        controls = self._guides[row.sample].controls
        return [one for one in controls if self._step(row) in one.steps and one.weight]

    def _rows_of(self, voice: Voice, rows: Sequence[Voice]) -> list[int]:
        return [n for n, row in enumerate(rows) if row.goes_with(voice)]

    def _drawn(self, graph: str, plain: Tensors, control: Control) -> Tensors:
        wanted = self._engine.bundle.manifest.graphs[graph].inputs
        given = {**plain, "hint": control.hint}
        return {tensor.name: given[tensor.name] for tensor in wanted}

    def _add_anchors(
        self, rows: Sequence[Voice], plain: Sequence[Tensors], guided: Sequence[Tensors]
    ) -> None:
        """What the earlier frame's attention sees at this noise level, for both rows of a plan."""
        reading = {}
        for n, row in enumerate(rows):
            anchor = self._guides[row.sample].anchor
            if anchor is not None and self._step(row) in anchor.steps and not row.negative:
                level = self._trajectories[row.sample].steps[self._step(row)].level
                alpha, sigma = np.float32(level.alpha), np.float32(level.sigma)
                noisy = alpha * anchor.latents + sigma * anchor.noise
                inputs = {**plain[n], "latents": noisy}
                reading[n] = (inputs | self._filled(inputs, self._identity(row)), anchor.strength)
        answers = self._run_all([(ANCHORS, inputs) for inputs, _ in reading.values()])
        for answer, (n, (_, strength)) in zip(answers, reading.items(), strict=True):
            for other in self._rows_of(rows[n], rows):
                guided[other] |= {k.replace("seen", "anchor"): v for k, v in answer.items()}
                guided[other]["anchor_bias"] = np.log(np.float32(strength))

    def _filled(self, plain: Tensors, guided: Tensors) -> Tensors:
        """The guided graph's inputs: what is not used is as small as can be, and adds nothing."""
        height, width = plain["latents"].shape[1:]
        sizes = {"height": height, "width": width}
        spec = self._engine.bundle.manifest.graphs[GUIDED]
        missing = [one for one in spec.inputs if one.name not in plain and one.name not in guided]
        return {**{one.name: _unused(one, sizes) for one in missing}, **guided}

    def _run(self, asked: Sequence[tuple[str, Tensors]], output: str) -> list[NDArray[Any]]:
        return [answer[output] for answer in self._run_all(asked)]

    def _run_all(self, asked: Sequence[tuple[str, Tensors]]) -> list[Tensors]:
        """Each row's answer; rows of one graph and equal shapes share a call."""
        answers: dict[int, Tensors] = {}
        for group in groups([_kind(graph, inputs) for graph, inputs in asked]):
            graph, first = asked[group[0]]
            stacked = {name: np.stack([asked[n][1][name] for n in group]) for name in first}
            outputs = run_in_batches(self._engine, graph, stacked)
            for name, value in outputs.items():
                if len(value) != len(group):
                    raise EngineBadOutput(name, f"has {len(value)} rows, not {len(group)}")
            for place, n in enumerate(group):
                answers[n] = {name: value[place] for name, value in outputs.items()}
        return [answers[n] for n in range(len(asked))]


def groups(keys: Sequence[object]) -> list[list[int]]:
    """Indices of equal keys together, in the order of their first."""
    found: dict[object, list[int]] = defaultdict(list)
    for i, key in enumerate(keys):
        found[key].append(i)
    return list(found.values())


def _kind(graph: str, inputs: Mapping[str, NDArray[Any]]) -> tuple[object, ...]:
    return (graph, *sorted((name, np.shape(value)) for name, value in inputs.items()))


def _unused(tensor: TensorSpec, sizes: Mapping[str, int]) -> NDArray[Any]:
    value = np.zeros(tensor.sized(sizes)[1:], tensor.dtype)
    return value + UNHEARD if tensor.name == "anchor_bias" else value
