"""Layer names of kohya's trainer for SDXL, as pure text: no torch is needed to read them."""

PREFIXES = {"unet": "lora_unet", "text_encoder": "lora_te1", "text_encoder_2": "lora_te2"}
_OUTSIDE = {
    "conv_in": "input_blocks.0.0",
    "conv_out": "out.2",
    "time_embedding.linear_1": "time_embed.0",
    "time_embedding.linear_2": "time_embed.2",
    "add_embedding.linear_1": "label_emb.0.0",
    "add_embedding.linear_2": "label_emb.0.2",
}
_INSIDE_RESNET = {
    "conv1": "in_layers.2",
    "conv2": "out_layers.3",
    "time_emb_proj": "emb_layers.1",
    "conv_shortcut": "skip_connection",
}


def kohya_name(path: str, layers_per_block: int) -> str:
    """`unet.down_blocks.1.attentions.0.proj_in` to `lora_unet_input_blocks_4_1_proj_in`."""
    part, inner = path.split(".", maxsplit=1)
    if part == "unet":
        inner = _original(inner, layers_per_block)
    elif not inner.startswith(("text_model.", "text_projection")):
        inner = f"text_model.{inner}"
    return f"{PREFIXES[part]}_{inner.replace('.', '_')}"


def _original(path: str, layers_per_block: int) -> str:
    """The name that a layer of the denoiser has in SDXL's first release."""
    if path in _OUTSIDE:
        return _OUTSIDE[path]
    steps = path.split(".")
    if steps[0] == "mid_block":
        place = 1 if steps[1] == "attentions" else 2 * int(steps[2])
        return ".".join(["middle_block", str(place), *_renamed(steps[1], steps[3:])])
    side, level, kind, index = steps[0], int(steps[1]), steps[2], int(steps[3])
    first = level * (layers_per_block + 1)
    if kind == "downsamplers":
        return f"input_blocks.{first + layers_per_block + 1}.0.op"
    if kind == "upsamplers":
        return f"output_blocks.{first + layers_per_block}.2.conv"
    block = f"input_blocks.{1 + first + index}" if side == "down_blocks" else ""
    block = block or f"output_blocks.{first + index}"
    return ".".join([block, "1" if kind == "attentions" else "0", *_renamed(kind, steps[4:])])


def _renamed(kind: str, inner: list[str]) -> list[str]:
    return [_INSIDE_RESNET[inner[0]]] if kind == "resnets" else inner
