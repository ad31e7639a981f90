"""LoRA files of every maker in one catalogue, blends of them, and what is refused."""

import base64
import json
import struct
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import save_file

from luciole.adapters.kohya_names import kohya_name
from luciole.bundle import BankLayer, BankSpec, Bundle, GraphSpec, Manifest
from luciole.domain import InvalidRequest, StyleStrategy, StyleUse
from luciole.engines.bank import Factors, Style
from luciole.engines.styles import write_style
from serving.orchestration.styles.blend import BlendPart, blend
from serving.orchestration.styles.blocks import parse_variant, variant
from serving.orchestration.styles.catalogue import Catalogue
from serving.orchestration.styles.files import InvalidStyle, read_file

PATHS = (
    "down_blocks.1.attentions.0.transformer_blocks.0.attn1.to_q",
    "down_blocks.1.attentions.1.transformer_blocks.0.attn2.to_k",
    "mid_block.attentions.0.proj_in",
    "up_blocks.0.attentions.2.transformer_blocks.0.ff.net.2",
)
WORDS = "text_encoder_2.encoder.layers.0.self_attn.q_proj"
LAYERS = tuple(BankLayer(path=path, inputs=6, outputs=4) for path in PATHS)
HEARD = BankLayer(path=WORDS, inputs=6, outputs=4)
SPEC = BankSpec(name="denoiser", rank=2, styles=4, layers=LAYERS)


def drawn(seed: int, rank: int = 2) -> Style:
    """Random matrices that fp16 holds exactly."""
    chance = np.random.default_rng(seed)

    def matrix(*shape: int) -> np.ndarray:
        return chance.integers(-8, 9, shape).astype(np.float32) / 4

    return {path: Factors(matrix(rank, 6), matrix(4, rank)) for path in PATHS}


def change(style: Style, path: str) -> np.ndarray:
    """A layer's whole change."""
    return np.asarray(style[path].up @ style[path].down)


def peft(style: Style) -> dict[str, np.ndarray]:
    told = {f"unet.{path}.lora_A.weight": one.down for path, one in style.items()}
    return told | {f"unet.{path}.lora_B.weight": one.up for path, one in style.items()}


def old_diffusers(style: Style) -> dict[str, np.ndarray]:
    told = {f"unet.{path}.lora.down.weight": one.down for path, one in style.items()}
    return told | {f"unet.{path}.lora.up.weight": one.up for path, one in style.items()}


def kohya(style: Style, alpha: float | None = None, flat: bool = False) -> dict[str, np.ndarray]:
    tensors = {}
    for path, one in style.items():
        name = kohya_name(f"unet.{path}", layers_per_block=2)
        name = "lora_unet_" + path.replace(".", "_") if flat else name
        tensors[f"{name}.lora_down.weight"] = one.down.reshape(*one.down.shape, 1, 1)
        tensors[f"{name}.lora_up.weight"] = one.up.reshape(*one.up.shape, 1, 1)
        if alpha is not None:
            tensors[f"{name}.alpha"] = np.array(alpha, np.float32)
    return tensors


def saved(folder: Path, name: str, tensors: Mapping[str, Any], **metadata: str) -> Path:
    file = folder / f"{name}.safetensors"
    save_file({key: value.astype(np.float16) for key, value in tensors.items()}, file, metadata)
    return file


STYLE = drawn(0)


@pytest.mark.parametrize(
    ("tensors", "maker"),
    [
        (peft(STYLE), "diffusers"),
        (old_diffusers(STYLE), "diffusers"),
        (kohya(STYLE), "kohya"),
        (kohya(STYLE, flat=True), "kohya"),
    ],
)
def test_a_file_of_any_maker_holds_the_same_change(
    tensors: dict[str, np.ndarray], maker: str, tmp_path: Path
) -> None:
    read = read_file(saved(tmp_path, "a", tensors), LAYERS)
    assert (read.maker, read.rank) == (maker, 2)
    for path in PATHS:
        np.testing.assert_array_equal(change(read.style, path), change(STYLE, path))


def test_a_style_of_a_bundle_is_read_too(tmp_path: Path) -> None:
    write_style(tmp_path / "ours.safetensors", STYLE)
    read = read_file(tmp_path / "ours.safetensors", LAYERS)
    assert read.maker == "luciole"
    np.testing.assert_array_equal(change(read.style, PATHS[0]), change(STYLE, PATHS[0]))


def test_alpha_over_rank_scales_the_change(tmp_path: Path) -> None:
    in_kohya = read_file(saved(tmp_path, "a", kohya(STYLE, alpha=1.0)), LAYERS).style
    settings = {"unet.lora_alpha": 1.0, "unet.alpha_pattern": {PATHS[1]: 4.0}}
    told = {"lora_adapter_metadata": json.dumps(settings)}
    in_peft = read_file(saved(tmp_path, "b", peft(STYLE), **told), LAYERS).style
    np.testing.assert_array_equal(change(in_kohya, PATHS[0]), change(STYLE, PATHS[0]) / 2)
    np.testing.assert_array_equal(change(in_peft, PATHS[0]), change(STYLE, PATHS[0]) / 2)
    np.testing.assert_array_equal(change(in_peft, PATHS[1]), change(STYLE, PATHS[1]) * 2)


def test_bfloat16_is_read_although_numpy_does_not_know_it(tmp_path: Path) -> None:
    header, data = {}, b""
    for key, value in peft(STYLE).items():
        half = (value.view(np.uint32) >> 16).astype("<u2").tobytes()
        place = [len(data), len(data) + len(half)]
        header[key] = {"dtype": "BF16", "shape": value.shape, "data_offsets": place}
        data += half
    told = json.dumps(header).encode()
    (tmp_path / "a.safetensors").write_bytes(struct.pack("<Q", len(told)) + told + data)
    read = read_file(tmp_path / "a.safetensors", LAYERS).style
    np.testing.assert_array_equal(change(read, PATHS[2]), change(STYLE, PATHS[2]))


@pytest.mark.parametrize(
    "name",
    [
        "text_encoder_2.text_model.encoder.layers.0.self_attn.q_proj.lora_{}.weight",
        "text_encoder_2.encoder.layers.0.self_attn.q_proj.lora_{}.weight",
        "lora_te2_text_model_encoder_layers_0_self_attn_q_proj.lora_{}.weight",
    ],
)
def test_changes_of_the_text_encoders_are_read_under_all_their_names(
    name: str, tmp_path: Path
) -> None:
    down, up = ("down", "up") if name.startswith("lora") else ("A", "B")
    one = STYLE[PATHS[0]]
    tensors = {name.format(down): one.down, name.format(up): one.up}
    read = read_file(saved(tmp_path, "a", tensors), (*LAYERS, HEARD)).style
    np.testing.assert_array_equal(change(read, WORDS), change(STYLE, PATHS[0]))


def broken(**more: np.ndarray) -> dict[str, np.ndarray]:
    return peft(STYLE) | more


ONE = np.ones((2, 6), np.float32)
SHORT = {key: value for key, value in peft(STYLE).items() if not key.endswith("ff.net.2.lora_B.weight")}  # noqa: E501  # fmt: skip
WIDE = peft(STYLE) | {f"unet.{PATHS[0]}.lora_A.weight": np.ones((2, 7), np.float32)}
WILD = peft(STYLE) | {f"unet.{PATHS[0]}.lora_A.weight": np.full((2, 6), np.nan, np.float32)}


@pytest.mark.parametrize(
    ("tensors", "why"),
    [
        (broken(surprise=ONE), "surprise: nothing here reads this key"),
        (broken(**{"unet.conv_in.lora_A.weight": ONE}), "conv_in.*no such layer"),
        (
            broken(**{"text_encoder.layers.0.lora_A.weight": ONE}),
            "text encoders have no such layer",
        ),
        (broken(**{"lora_te1_text_model_x.lora_down.weight": ONE}), "text encoders have no such"),
        (broken(**{f"unet.{PATHS[0]}.lora_magnitude_vector": ONE}), "DoRA"),
        ({f"lora_unet_{PATHS[0]}.hada_w1_a": ONE}, "LoHa"),
        (broken(**{f"lora_unet_{PATHS[0].replace('.', '_')}.alpha": ONE}), "second|mixes"),
        (SHORT, "no up matrix"),
        (WIDE, r"shape \(4, 7\), this is \(4, 6\)"),
        (WILD, "not finite"),
    ],
)
def test_a_key_that_finds_no_layer_is_an_error_with_the_files_name(
    tensors: dict[str, np.ndarray], why: str, tmp_path: Path
) -> None:
    with pytest.raises(InvalidStyle, match=why) as caught:
        read_file(saved(tmp_path, "theirs", tensors), LAYERS)
    assert caught.value.field == "theirs.safetensors"


@pytest.mark.parametrize("content", [b"", b"\x80\x04pickle", b"\xff" * 64])
def test_what_is_no_safetensors_file_is_refused(content: bytes, tmp_path: Path) -> None:
    (tmp_path / "a.safetensors").write_bytes(content)
    with pytest.raises(InvalidStyle, match="not a safetensors file"):
        read_file(tmp_path / "a.safetensors", LAYERS)


def bundle(folder: Path) -> Bundle:
    """A bundle with a bank, as far as styles need one."""
    graph = GraphSpec(file="denoiser.onnx", inputs=(), outputs=(), bank=SPEC)
    manifest = Manifest.model_construct(name="tiny", graphs={"denoiser": graph}, styles={})
    return Bundle(folder, manifest)


def test_a_card_tells_what_the_header_and_its_neighbour_say(tmp_path: Path) -> None:
    thumbnail = "data:image/png;base64," + base64.b64encode(b"picture").decode()
    saved(
        tmp_path,
        "ink",
        peft(STYLE),
        **{
            "modelspec.title": "Ink",
            "modelspec.trigger_phrase": "ink style, black lines",
            "modelspec.license": "CC0-1.0",
            "modelspec.thumbnail": thumbnail,
        },
    )
    told = {"preferred weight": 0.7, "description": "Brush and ink.", "sd version": "SDXL"}
    (tmp_path / "ink.json").write_text(json.dumps(told))
    catalogue = Catalogue(bundle(tmp_path), tmp_path)
    [card] = catalogue.cards()
    assert (card.name, card.title, card.licence) == ("ink", "Ink", "CC0-1.0")
    assert card.triggers == ("ink style", "black lines")
    assert (card.intensity, card.description) == (0.7, "Brush and ink.")
    assert (card.maker, card.rank, card.layers, card.places) == ("diffusers", 2, 4, 1)
    assert catalogue.preview("ink") == (b"picture", "image/png")


def test_without_a_trigger_the_commonest_tags_are_a_guess(tmp_path: Path) -> None:
    tags = {"10_a": {"inkstyle": 20, "girl": 19, "rain": 3}}
    saved(tmp_path, "ink", kohya(STYLE), ss_tag_frequency=json.dumps(tags))
    [card] = Catalogue(bundle(tmp_path), tmp_path).cards()
    assert (card.triggers, card.triggers_guessed) == (("inkstyle", "girl"), True)


def test_a_file_that_does_not_fit_is_listed_with_the_reason(tmp_path: Path) -> None:
    saved(tmp_path, "good", peft(STYLE))
    saved(tmp_path, "bad", broken(surprise=ONE))
    saved(tmp_path, "big", peft(drawn(1, rank=9)))
    catalogue = Catalogue(bundle(tmp_path), tmp_path)
    assert [card.name for card in catalogue.cards()] == ["good"]
    refused = {one.file: one.why for one in catalogue.refused()}
    assert "surprise" in refused["bad.safetensors"]
    assert "rank 9" in refused["big.safetensors"]


def test_a_replaced_file_is_another_style_to_the_engine(tmp_path: Path) -> None:
    saved(tmp_path, "ink", peft(STYLE))
    catalogue = Catalogue(bundle(tmp_path), tmp_path)
    before = catalogue.key("ink")
    assert catalogue.key("ink") == before
    saved(tmp_path, "ink", peft(drawn(5)))
    assert catalogue.key("ink") != before
    np.testing.assert_array_equal(
        change(catalogue.read("ink"), PATHS[0]), change(drawn(5), PATHS[0])
    )
    (tmp_path / "ink.safetensors").unlink()
    with pytest.raises(InvalidRequest, match="'ink' is not here; there are none"):
        catalogue.read("ink")


@pytest.fixture
def three(tmp_path: Path) -> Catalogue:
    for seed, name in enumerate(("ink", "neon", "pastel")):
        saved(tmp_path, name, peft(drawn(seed)), trigger=f"{name} style")
    saved(tmp_path, "wide", peft(drawn(7, rank=6)))
    return Catalogue(bundle(tmp_path), tmp_path)


def test_a_blend_is_what_a_plan_takes(three: Catalogue) -> None:
    blended = blend((BlendPart(name="ink"), BlendPart(name="neon", weight=0.4)), three)
    assert [(use.name, use.weight) for use in blended.styles] == [("ink", 1.0), ("neon", 0.4)]
    assert blended.triggers == {"ink": ("ink style",), "neon": ("neon style",)}
    assert (blended.places, blended.most_places) == (2, 4)
    [pair] = blended.interference
    assert {pair.first, pair.second} == {"ink", "neon"}


def test_weights_of_blocks_are_a_style_of_their_own_to_the_engine(three: Catalogue) -> None:
    part = BlendPart(name="ink", blocks={"down": 0.5, "up.0": 0, "mid": 2})
    [use] = blend((part,), three).styles
    assert use.name == "ink@down=0.5,mid=2,up.0=0"
    read, plain = three.read(use.name), three.read("ink")
    for path, times in zip(PATHS, (0.5, 0.5, 2.0, 0.0), strict=True):
        np.testing.assert_allclose(change(read, path), times * change(plain, path))
    assert three.key(use.name) != three.key("ink")
    assert three.find(use.name).places == three.find("ink").places
    assert three.find(use.name).key == three.key(use.name)


@pytest.mark.parametrize("blocks", [{}, {"down": 0.5}, {"mid": -1.25, "up.1": 3.0}])
def test_the_name_of_a_variant_is_read_back(blocks: dict[str, float]) -> None:
    assert parse_variant(variant("ink", blocks)) == ("ink", blocks)


@pytest.mark.parametrize("name", ["ink@", "ink@down", "ink@left=1", "ink@down=9", "ink@mid=1e9"])
def test_a_variant_that_nobody_writes_is_refused(name: str, three: Catalogue) -> None:
    with pytest.raises(InvalidRequest):
        three.read(name)


@pytest.mark.parametrize(
    ("parts", "why"),
    [
        ([{"name": "ink"}, {"name": "ink"}], "twice"),
        ([{"name": "sepia"}], "'sepia' is not here; there are ink, neon, pastel, wide"),
        ([{"name": "ink", "blocks": {"side": 1}}], "none of down, mid"),
        ([{"name": "ink", "blocks": {"mid": 5}}], "from -4 to 4"),
        ([{"name": n} for n in ("ink", "neon", "wide")], "need 5 places of the bank"),
    ],
)
def test_a_blend_that_cannot_be_is_refused(
    parts: list[dict[str, Any]], why: str, three: Catalogue
) -> None:
    with pytest.raises(InvalidRequest, match=why):
        blend(tuple(BlendPart.model_validate(part) for part in parts), three)


def test_a_blend_carries_its_strategy_into_the_plan(three: Catalogue) -> None:
    parts = (BlendPart(name="ink"), BlendPart(name="neon", mask="0" * 64))
    regional = blend(parts, three, StyleStrategy.REGIONAL)
    assert [use.mask for use in regional.styles] == [None, "0" * 64]
    assert regional.style_strategy is StyleStrategy.REGIONAL
    with pytest.raises(InvalidRequest, match="need each other"):
        blend(parts, three, StyleStrategy.SWITCH)


def test_a_style_of_words_cannot_take_turns(tmp_path: Path) -> None:
    one = STYLE[PATHS[0]]
    name = "lora_te2_text_model_encoder_layers_0_self_attn_q_proj"
    saved(tmp_path, "a", {f"{name}.lora_down.weight": one.down, f"{name}.lora_up.weight": one.up})
    heard = BankSpec(name="text_encoder", rank=2, styles=4, layers=(HEARD,))
    graphs = {
        "denoiser": GraphSpec(file="", inputs=(), outputs=(), bank=SPEC),
        "text_encoder": GraphSpec(file="", inputs=(), outputs=(), bank=heard),
    }
    manifest = Manifest.model_construct(name="tiny", graphs=graphs, styles={})
    catalogue = Catalogue(Bundle(tmp_path, manifest), tmp_path)
    assert blend((BlendPart(name="a"),), catalogue).styles == (StyleUse(name="a"),)
    with pytest.raises(InvalidRequest, match="only sum can do"):
        blend((BlendPart(name="a"),), catalogue, StyleStrategy.SWITCH)


def test_styles_that_push_alike_or_add_up_to_much_are_pointed_out(tmp_path: Path) -> None:
    saved(tmp_path, "ink", peft(STYLE))
    saved(tmp_path, "copy", peft(STYLE))
    parts = (BlendPart(name="ink"), BlendPart(name="copy"))
    notices = blend(parts, Catalogue(bundle(tmp_path), tmp_path)).notices
    assert any("push alike" in notice for notice in notices)
    assert any("add up to 2" in notice for notice in notices)
