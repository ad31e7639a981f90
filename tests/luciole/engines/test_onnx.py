import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from luciole.bundle import MANIFEST, Bundle, write_manifest
from luciole.domain import BundleError, EngineError
from luciole.engines import Engine
from luciole.engines.onnx import OnnxEngine


@pytest.fixture(scope="module")
def engine(tiny_bundle: Bundle) -> Iterator[Engine]:
    engine = OnnxEngine(tiny_bundle, threads=1)
    yield engine
    engine.close()


def conditions(batch: int, height: int = 8, width: int = 12, tokens: int = 77) -> dict[str, Any]:
    draw = np.random.default_rng(batch)
    return {
        "latents": draw.standard_normal((batch, 8, height, width), np.float32),
        "timestep": np.linspace(0, 999, batch, dtype=np.float32),
        "text_states": draw.standard_normal((batch, tokens, 64), np.float32),
        "pooled": draw.standard_normal((batch, 32), np.float32),
        "time_ids": np.full((batch, 6), 128, np.float32),
        "style_slot": np.zeros((batch, 4), np.int64),
        "style_weight": np.zeros((batch, 4), np.float32),
    }


@pytest.mark.parametrize("batch", [1, 2, 7, 16])
@pytest.mark.parametrize(("height", "width"), [(4, 4), (8, 12), (32, 16)])
def test_any_batch_and_latent_size_runs(
    engine: Engine, batch: int, height: int, width: int
) -> None:
    prediction = engine.run("denoiser", conditions(batch, height, width))["prediction"]
    assert prediction.shape == (batch, 8, height, width)
    latents = {"latents": prediction}
    pictures = engine.run("vae_decoder", latents)["pictures"]
    assert pictures.shape == (batch, 3, 8 * height, 8 * width)


def test_each_row_has_its_own_timestep_and_conditions(engine: Engine) -> None:
    together = conditions(3)
    predictions = engine.run("denoiser", together)["prediction"]
    for row in range(3):
        alone = {name: value[row : row + 1] for name, value in together.items()}
        expected = engine.run("denoiser", alone)["prediction"][0]
        np.testing.assert_allclose(predictions[row], expected, atol=1e-4)
        if row:
            alone["timestep"] = together["timestep"][:1]
            other = engine.run("denoiser", alone)["prediction"][0]
            assert np.abs(other - expected).max() > 1e-3


def test_inputs_are_bound_by_name_in_any_order_and_layout(engine: Engine) -> None:
    inputs = conditions(2)
    expected = engine.run("denoiser", inputs)["prediction"]
    turned = dict(reversed(inputs.items()))
    turned["latents"] = np.asfortranarray(inputs["latents"])
    np.testing.assert_array_equal(engine.run("denoiser", turned)["prediction"], expected)


def test_the_same_inputs_give_the_same_bytes_in_another_session(tiny_bundle: Bundle) -> None:
    runs = []
    for _ in range(2):
        engine = OnnxEngine(tiny_bundle, threads=2, eager=True)
        runs.append(engine.run("denoiser", conditions(2))["prediction"].tobytes())
        engine.close()
    assert runs[0] == runs[1]


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("timestep", np.zeros(2, np.float64), "float64, expected float32"),
        ("timestep", np.zeros(3, np.float32), "shape"),
        ("pooled", np.zeros((2, 31), np.float32), "shape"),
        ("text_states", np.zeros((2, 64), np.float32), "shape"),
    ],
)
def test_an_input_that_does_not_fit_is_named(
    engine: Engine, name: str, value: NDArray[Any], message: str
) -> None:
    with pytest.raises(EngineError, match=f"denoiser.{name}: .*{message}"):
        engine.run("denoiser", {**conditions(2), name: value})


def test_a_missing_or_unknown_input_or_graph_is_named(engine: Engine) -> None:
    inputs = conditions(1)
    with pytest.raises(EngineError, match=r"denoiser\.surprise"):
        engine.run("denoiser", {**inputs, "surprise": inputs["pooled"]})
    inputs.pop("pooled")
    with pytest.raises(EngineError, match=r"denoiser\.pooled: is missing"):
        engine.run("denoiser", inputs)
    with pytest.raises(EngineError, match="unheard"):
        engine.run("unheard", {})


def test_a_size_that_the_graph_cannot_do_is_an_engine_error(engine: Engine) -> None:
    with pytest.raises(EngineError, match="denoiser: failed to run"):
        engine.run("denoiser", conditions(1, height=6, width=6))


def test_a_closed_engine_refuses(tiny_bundle: Bundle) -> None:
    engine = OnnxEngine(tiny_bundle)
    engine.close()
    engine.close()
    with pytest.raises(EngineError, match="closed"):
        engine.run("denoiser", conditions(1))


def test_a_graph_that_is_no_onnx_names_its_file(tiny_bundle: Bundle, tmp_path: Path) -> None:
    folder = Path(shutil.copytree(tiny_bundle.path, tmp_path / "copy"))
    (folder / "denoiser.onnx").write_bytes(b"not a graph")
    (folder / MANIFEST).unlink()
    fields = tiny_bundle.manifest.model_dump(exclude={"files", "format_version"})
    write_manifest(folder, fields)
    with pytest.raises(BundleError, match=r"denoiser\.onnx: ONNX Runtime cannot load it"):
        OnnxEngine(Bundle.open(folder), eager=True)
