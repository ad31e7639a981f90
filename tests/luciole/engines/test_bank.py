"""Styles that live with the engine, against peft and against themselves."""

import random
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from luciole.adapters.lora import Lora
from luciole.adapters.lora_file import read_lora
from luciole.bundle import BankLayer, BankSpec, Bundle
from luciole.domain import Busy, InvalidRequest, RenderPlan, SolverName, StyleUse
from luciole.engines.bank import Factors, Style, StyleBank
from luciole.engines.onnx import OnnxEngine
from luciole.engines.styles import Styles
from luciole.models.folder import load_denoiser
from luciole.pipeline import Pipeline

SPEC = BankSpec(
    name="layers",
    rank=4,
    styles=4,
    layers=(
        BankLayer(path="one", inputs=6, outputs=5),
        BankLayer(path="two", inputs=3, outputs=7),
    ),
)


def style(seed: int, rank: int = 4, layers: tuple[str, ...] = ("one", "two")) -> Style:
    draw = np.random.default_rng(seed)
    wide = {layer.path: (layer.inputs, layer.outputs) for layer in SPEC.layers}
    return {
        path: Factors(
            draw.standard_normal((rank, wide[path][0]), np.float32),
            draw.standard_normal((wide[path][1], rank), np.float32),
        )
        for path in layers
    }


def change(bank: StyleBank, slots: np.ndarray, weights: np.ndarray, layer: int) -> np.ndarray:
    """What a mix adds to a layer's weight: [out, in]."""
    inputs = [slice(0, 6), slice(6, 9)][layer]
    outputs = [slice(0, 5), slice(5, 12)][layer]
    arrays = bank.arrays["layers"]
    total: np.ndarray = sum(
        weight * arrays.b[slot][:, outputs].T @ arrays.a[slot][:, inputs]
        for slot, weight in zip(slots, weights, strict=True)
    )
    return total


def test_over_a_thousand_loads_evictions_and_mixes_every_mix_is_the_sum_of_its_styles() -> None:
    chance = random.Random(5)
    styles = {
        f"s{i}": style(i, rank=1 + i % 8, layers=(("one", "two"), ("two",))[i % 2])
        for i in range(12)
    }
    bank = StyleBank([SPEC], slots=9)
    mixes = 0
    for _ in range(1000):
        name = chance.choice(list(styles))
        if chance.random() < 0.3:
            bank.load(name, styles[name])
        elif chance.random() < 0.1 and name in bank.loaded:
            bank.evict(name)
        else:
            few = chance.sample(list(styles), chance.randint(1, 2))
            mix = [(one, chance.uniform(-1, 2)) for one in few]
            with bank.hold_loaded(mix, styles.__getitem__) as held:
                for layer, path in enumerate(("one", "two")):
                    found = change(bank, held.slots, held.weights, layer)
                    parts = [(w, styles[n][path]) for n, w in mix if path in styles[n]]
                    wanted = sum(w * f.up @ f.down for w, f in parts)
                    np.testing.assert_allclose(found, wanted + np.zeros_like(found), atol=2e-5)
            mixes += 1
    assert mixes > 500
    assert not bank.arrays["layers"].a[0].any()
    assert not bank.arrays["layers"].b[0].any()


def test_the_longest_unused_style_makes_room_and_a_used_one_never() -> None:
    bank = StyleBank([SPEC], slots=4)
    for i in range(3):
        bank.load(f"s{i}", style(i))
    with bank.hold([("s0", 1.0)]):
        bank.load("s3", style(3))
        assert bank.loaded == ("s2", "s0", "s3")
        bank.load("wide", style(4, rank=8))
        assert bank.loaded == ("s0", "wide")
        with bank.hold([("wide", 1.0)]), pytest.raises(Busy, match="needs 1 places, 0 are not"):
            bank.load("s5", style(5))
        with pytest.raises(Busy, match="is being used"):
            bank.evict("s0")
        with pytest.raises(Busy, match="cannot be replaced"):
            bank.load("s0", style(6))
    assert bank.loaded == ("s0", "wide")
    bank.evict("s0")
    assert bank.loaded == ("wide",)


def test_what_a_running_request_holds_is_not_written_to() -> None:
    bank = StyleBank([SPEC], slots=4)
    bank.load("held", style(0))
    with bank.hold([("held", 1.0)]) as held:
        arrays, place = bank.arrays["layers"], held.slots[0]
        before = arrays.a[place].copy(), arrays.b[place].copy()
        for i in range(20):
            bank.load(f"s{i}", style(i))
        assert np.array_equal(arrays.a[place], before[0])
        assert np.array_equal(arrays.b[place], before[1])


REFUSED: list[tuple[Any, str]] = [
    ({"three": style(0)["one"]}, "changes three, which takes none"),
    ({}, "is empty"),
    ({"one": style(0)["two"]}, r"at one has shapes \(\(4, 3\), \(7, 4\)\), not"),
    ({"one": replace(style(0)["one"], up=np.full((5, 4), np.nan, np.float32))}, "is not finite"),
]


@pytest.mark.parametrize(("wrong", "words"), REFUSED)
def test_a_style_of_another_model_is_refused_and_nothing_is_changed(wrong: Any, words: str) -> None:
    bank = StyleBank([SPEC], slots=3)
    bank.load("fine", style(1))
    with pytest.raises(InvalidRequest, match=words):
        bank.load("wrong", wrong)
    assert bank.loaded == ("fine",)


def test_unknown_styles_and_mixes_too_large_for_a_row_are_refused() -> None:
    bank = StyleBank([SPEC], slots=9)
    bank.load("wide", style(1, rank=12))
    bank.load("more", style(2, rank=8))
    for mix, words in (
        ([("gone", 1.0)], "'gone' is not loaded"),
        ([("wide", 1.0), ("more", 1.0)], "needs 5, there are 4 places of rank 4"),
        ([("wide", float("nan"))], "not a finite number"),
    ):
        with pytest.raises(InvalidRequest, match=words), bank.hold(mix):
            pass


def test_another_process_sees_what_is_loaded_into_files(tmp_path: Path) -> None:
    bank = StyleBank([SPEC], slots=3, folder=tmp_path)
    there = np.load(tmp_path / "layers_bank_a.npy", mmap_mode="r")
    bank.load("ink", style(1))
    with bank.hold([("ink", 1.0)]) as held:
        assert np.array_equal(there[held.slots[0]][:, :6], style(1)["one"].down)


@pytest.fixture(scope="module")
def engine(tiny_bundle: Bundle) -> Iterator[OnnxEngine]:
    engine = OnnxEngine(tiny_bundle, threads=1, style_slots=6)
    yield engine
    engine.close()


def inputs(batch: int) -> dict[str, Any]:
    draw = np.random.default_rng(batch)
    return {
        "latents": draw.standard_normal((batch, 8, 8, 12), np.float32),
        "timestep": np.linspace(0, 999, batch, dtype=np.float32),
        "text_states": draw.standard_normal((batch, 77, 64), np.float32),
        "pooled": draw.standard_normal((batch, 32), np.float32),
        "time_ids": np.full((batch, 6), 128, np.float32),
    }


MIXES: list[list[tuple[str, float]]] = [
    [],
    [("ink", 1.0)],
    [("neon", 0.5), ("ink", -0.3)],
    [("pastel", 0.8), ("ink", 0.4), ("neon", 1.0)],
]


def test_a_batch_of_mixes_is_row_by_row_what_peft_computes(
    engine: OnnxEngine, tiny_folder: Path, tiny_bundle: Bundle
) -> None:
    unet = load_denoiser(str(tiny_folder)).eval()
    styles = Styles(tiny_bundle, engine.bank)
    given = inputs(len(MIXES))
    uses = [[StyleUse(name=n, weight=w) for n, w in mix] for mix in MIXES]
    held = [styles.hold(one) for one in uses]
    mixes = [one.__enter__() for one in held]
    slots = np.stack([mix.slots for mix in mixes if mix])
    weights = np.stack([mix.weights for mix in mixes if mix])
    found = engine.run("denoiser", {**given, "style_slot": slots, "style_weight": weights})
    for one in held:
        one.__exit__(None, None, None)
    for row, mix in enumerate(MIXES):
        wanted = by_peft(unet, tiny_bundle.path.parent, mix, given, row)
        assert np.abs(found["prediction"][row] - wanted).max() < 1e-5 * np.abs(wanted).max()


@torch.no_grad()
def by_peft(
    unet: Any, files: Path, mix: list[tuple[str, float]], given: dict[str, Any], row: int
) -> np.ndarray:
    parts = {"unet": unet}
    attached = []
    for name, weight in mix:
        layers = read_lora(files / f"{name}.safetensors", parts)
        scaled = {path: replace(one, up=weight * one.up) for path, one in layers.items()}
        attached.append((scaled, name))
    loras = [Lora.of(parts, layers, name) for layers, name in attached]
    one = {name: torch.from_numpy(value[row : row + 1]) for name, value in given.items()}
    added = {"text_embeds": one["pooled"], "time_ids": one["time_ids"]}
    answer = unet(
        one["latents"], one["timestep"], one["text_states"], added_cond_kwargs=added
    ).sample
    for lora in reversed(loras):
        lora.detach()
    wanted: np.ndarray = answer[0].numpy()
    return wanted


def plan(*uses: tuple[str, float], seed: int = 1) -> RenderPlan:
    return RenderPlan(
        prompt="a girl in rain",
        width=64,
        height=64,
        steps=3,
        guidance_scale=3.0,
        seed=seed,
        solver=SolverName.EULER,
        styles=[StyleUse(name=name, weight=weight) for name, weight in uses],
    )


def test_a_then_b_then_a_gives_identical_bytes(engine: OnnxEngine) -> None:
    pipeline = Pipeline(engine)
    first, other, again = (
        pipeline.render([plan((name, 0.8))])[0].tobytes() for name in ("ink", "pastel", "ink")
    )
    assert first == again != other


def test_styles_of_neighbours_change_nothing_and_no_weight_is_no_style(engine: OnnxEngine) -> None:
    pipeline = Pipeline(engine)
    plans = [plan(), plan(("ink", 1.0)), plan(("neon", 0.5), ("ink", 0.5)), plan(("ink", 0.0))]
    alone = [pipeline.render([one])[0].tobytes() for one in plans]
    together = [picture.tobytes() for picture in pipeline.render(plans)]
    assert alone == together
    assert alone[0] == alone[3]
    assert len(set(alone)) == 3


def test_a_call_in_which_nobody_has_a_style_does_not_read_the_bank(tiny_bundle: Bundle) -> None:
    engine = OnnxEngine(tiny_bundle, threads=1, style_slots=2)
    assert engine.bank is not None
    for array in engine.bank.resident("denoiser").values():
        array[:] = np.nan
    slots, weights = np.zeros((2, 4), np.int64), np.zeros((2, 4), np.float32)
    asked = {**inputs(2), "style_slot": slots, "style_weight": weights}
    assert np.isfinite(engine.run("denoiser", asked)["prediction"]).all()
    slots[1, 0] = 1
    assert np.isnan(engine.run("denoiser", asked)["prediction"]).all()
    engine.close()


@pytest.mark.parametrize(
    ("uses", "words"),
    [
        ([("sepia", 1.0)], "'sepia' is not here; there are ink, neon, pastel"),
        ([("ink", 1.0), ("ink", 0.5)], "names a style twice"),
    ],
)
def test_a_plan_with_styles_that_cannot_be_names_the_field(
    engine: OnnxEngine, uses: list[tuple[str, float]], words: str
) -> None:
    with pytest.raises(InvalidRequest, match=words) as refused:
        Pipeline(engine).check(plan(*uses))
    assert refused.value.field == "styles"


def test_a_style_of_words_reads_as_if_merged_into_the_text_encoders(
    engine: OnnxEngine, tiny_folder: Path
) -> None:
    """Row by row: with it, with none, with half of it."""
    assert engine.bank is not None
    spec = next(one for one in engine.bundle.manifest.banks if one.name == "text_encoder")
    draw = np.random.default_rng(0)
    told = {
        layer.path: Factors(
            draw.standard_normal((4, layer.inputs), np.float32),
            0.1 * draw.standard_normal((layer.outputs, 4), np.float32),
        )
        for layer in spec.layers
    }
    engine.bank.load("spoken", told)
    ids = np.array([[530, 1, 5, 9, 531] + [531] * 72] * 3)
    with engine.bank.hold([("spoken", 1.0)]) as mix:
        answer = engine.run(
            "text_encoder",
            {
                "input_ids": ids,
                "input_ids_2": ids,
                "style_slot": np.stack([mix.slots] * 3),
                "style_weight": np.stack([mix.weights, 0 * mix.weights, mix.weights / 2]),
            },
        )
    engine.bank.evict("spoken")
    for row, weight in enumerate((1.0, 0.0, 0.5)):
        states, pooled = merged_words(tiny_folder, told, weight, ids[:1])
        np.testing.assert_allclose(answer["text_states"][row], states, atol=2e-5)
        np.testing.assert_allclose(answer["pooled"][row], pooled, atol=2e-5)


@torch.no_grad()
def merged_words(
    folder: Path, style: Style, weight: float, ids: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    from transformers import CLIPTextModel, CLIPTextModelWithProjection

    builds: dict[str, Any] = {
        "text_encoder": CLIPTextModel,
        "text_encoder_2": CLIPTextModelWithProjection,
    }
    answers = []
    for part, build in builds.items():
        encoder = build.from_pretrained(folder / part).eval()
        for path, factors in style.items():
            if path.startswith(f"{part}."):
                layer = encoder.get_submodule(path.removeprefix(f"{part}."))
                layer.weight += torch.from_numpy(weight * factors.up @ factors.down)
        answers.append(encoder(torch.from_numpy(ids), output_hidden_states=True))
    states = torch.cat([answer.hidden_states[-2] for answer in answers], dim=-1)
    return states[0].numpy(), answers[1].text_embeds[0].numpy()
