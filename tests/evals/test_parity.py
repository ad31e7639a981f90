"""One model through several engines: how far apart, and who is told."""

import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from evals.checkpoint import Checkpoint
from evals.errors import EvaluationError
from evals.painters.choice import painter_of
from evals.painters.painter import refuse_mixed
from evals.parity import Parity, between, compared, relative_error
from evals.sample import Sample, Settings
from luciole.bundle import Bundle
from luciole.domain import SolverName
from luciole.engines.onnx import OnnxEngine

SETTINGS = Settings(steps=2, guidance_scale=3.5, solver=SolverName.DPMPP_2M, threads=1)
LONG = ", ".join(["red hair", "walking in rain", "a girl in a park"] * 6)


def test_torch_and_onnx_draw_the_same_even_from_long_prompts(
    tiny_folder: Path, guided_bundle: Bundle
) -> None:
    ours, theirs = (
        painter_of(Checkpoint("one", str(path)), SETTINGS)
        for path in (tiny_folder, guided_bundle.path)
    )
    refuse_mixed([ours, theirs])
    samples = [Sample(LONG, 1), Sample("rain", 2)]
    for a, b in zip(ours.draw(samples), theirs.draw(samples), strict=True):
        assert np.abs(a.astype(int) - b).max() <= 2
    theirs.close()


def test_a_style_of_a_bundle_is_mixed_by_name(guided_bundle: Bundle) -> None:
    styled = Checkpoint.parse(f"one={guided_bundle.path}+style:ink@0.5+style:neon")
    painter = painter_of(styled, SETTINGS)
    plain = painter_of(Checkpoint("two", str(guided_bundle.path)), SETTINGS)
    asked = Sample("rain", 3)
    both, ink, none = painter.draw(
        [asked, replace(asked, styles=(("ink", 1.0), ("unknown", 1.0))), replace(asked, styles=())]
    )
    assert np.array_equal(none, plain.draw([asked])[0])
    assert not np.array_equal(both, ink)
    told = [use["name"] for use in painter.recipe(asked)["plan"]["styles"]]
    assert told == ["ink", "neon"]
    painter.close()
    plain.close()


def test_a_bundles_own_adapters_look_at_what_torch_looks_at(
    tiny_folder: Path, guided_bundle: Bundle, tmp_path: Path
) -> None:
    made = guided_bundle.path.parent
    shutil.copytree(made / "identity", tmp_path / "identity")
    shutil.copytree(made / "eye", tmp_path / "image_encoder")
    in_torch = f"a={tiny_folder}+identity:{tmp_path / 'identity'}@0.7+pose:{made / 'pose'}@0.9"
    exported = f"b={guided_bundle.path}+identity:own@0.7+pose:own@0.9"
    ours, theirs = (painter_of(Checkpoint.parse(one), SETTINGS) for one in (in_torch, exported))
    colours = np.random.default_rng(1).integers(0, 255, (2, 128, 128, 3), dtype=np.uint8)
    shown = Sample("rain", 4, reference=colours[0], controls={"pose": colours[1]})
    for a, b in zip(ours.draw([shown]), theirs.draw([shown]), strict=True):
        assert np.abs(a.astype(int) - b).mean() < 1
    alone = painter_of(Checkpoint("c", str(guided_bundle.path)), SETTINGS)
    drawn, plain = theirs.draw([shown])[0], alone.draw([shown])[0]
    assert np.abs(drawn.astype(int) - plain).mean() > 2
    assert "identities" not in alone.recipe(shown)["plan"]
    theirs.close()
    alone.close()


@pytest.mark.parametrize(
    ("parts", "told"),
    [
        ("+style:none", "style 'none': there are ink"),
        ("+student:own", "a bundle of its own"),
        ("+identity:elsewhere", "write identity:own"),
    ],
)
def test_what_a_bundle_has_not_is_refused(guided_bundle: Bundle, parts: str, told: str) -> None:
    with pytest.raises(EvaluationError, match=told):
        painter_of(Checkpoint.parse(f"one={guided_bundle.path}{parts}"), SETTINGS)


def test_parity_is_measured_from_graphs_to_pictures(
    tiny_folder: Path, guided_bundle: Bundle
) -> None:
    asked = Parity(str(guided_bundle.path), str(tiny_folder), None, prompts=1)
    graphs, drawn = asked.measure(SETTINGS, seed=0)
    assert {one.graph for one in graphs} >= {"text_encoder", "denoiser", "vae_decoder"}
    assert max(one.relative_error for one in graphs) < 1e-4
    assert [one.engines for one in drawn] == ["torch, onnx"]
    assert drawn[0].largest <= 2
    assert asked.kept(graphs, drawn)
    assert not replace(asked, tolerance=0.0).kept(graphs, drawn)


def test_a_folder_that_the_bundle_is_not_of_is_refused(
    guided_bundle: Bundle, tmp_path: Path
) -> None:
    (tmp_path / "other.txt").write_text("other")
    with pytest.raises(EvaluationError, match="is not what the bundle was exported from"):
        Parity(str(guided_bundle.path), str(tmp_path), None, 1).measure(SETTINGS, seed=0)


def test_an_engine_agrees_with_itself_on_every_graph(guided_bundle: Bundle) -> None:
    engine = OnnxEngine(guided_bundle, threads=1)
    found = between(guided_bundle, engine, engine, "onnx, onnx")
    engine.close()
    assert {one.graph for one in found} == set(guided_bundle.manifest.graphs)
    assert all(one.relative_error == 0 for one in found)


def test_differences_have_their_closed_forms() -> None:
    assert relative_error(np.array([1.0, -4.0]), np.array([1.0, -5.0])) == pytest.approx(0.2)
    assert relative_error(np.array([np.nan]), np.array([1.0])) == float("inf")
    black = np.zeros((4, 4, 3), np.uint8)
    off = compared("a, b", Sample("x", 0), black, black + np.uint8(10))
    assert (off.largest, off.mean) == (10, 10)
    assert off.psnr == pytest.approx(20 * np.log10(255 / 10))
    assert compared("a, b", Sample("x", 0), black, black).psnr == 100
