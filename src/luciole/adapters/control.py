"""ControlNet (arXiv:2302.05543): a copy of the denoiser's way down that a drawing guides."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from diffusers import ControlNetModel
from jaxtyping import Float
from torch import Tensor

_PLAIN = {"CrossAttnDownBlock2D": "DownBlock2D", "UNetMidBlock2DCrossAttn": "UNetMidBlock2D"}
"""Blocks by those that are the same without attention."""


def control_net(denoiser: Any, embedding: Sequence[int], words: bool = True) -> Any:
    """diffusers' ControlNetModel with the denoiser's weights; attached untrained it says nothing.

    `embedding` are the channels through which a drawing of 8 times the latents' size is brought to
    theirs. Without `words` the copy keeps the convolutions and the timestep, not the attention and
    the pooled text: where something stands is its to say, what it is stays with the denoiser. Of
    pocket that is 3.0 M weights in place of 6.5 M.
    """
    build: Any = ControlNetModel
    if words:
        whole = build.from_unet(denoiser, conditioning_embedding_out_channels=tuple(embedding))
        return _attending_like(denoiser, whole)
    config = dict(build.from_unet(denoiser, load_weights_from_unet=False).config)
    config["down_block_types"] = tuple(_PLAIN.get(n, n) for n in config["down_block_types"])
    config["mid_block_type"] = _PLAIN.get(config["mid_block_type"], config["mid_block_type"])
    config["conditioning_embedding_out_channels"] = tuple(embedding)
    config["addition_embed_type"] = None
    model = build.from_config(config)
    _copy(denoiser, model)
    return model


def _attending_like(denoiser: Any, control: Any) -> Any:
    """With the same attention kernel."""
    control.set_attn_processor(type(next(iter(denoiser.attn_processors.values())))())
    return control


def _copy(denoiser: Any, control: Any) -> None:
    """All that the denoiser has under the same name; ValueError where it lacks something."""
    there = denoiser.state_dict()
    own = {name for name in control.state_dict() if name.startswith("controlnet_")}
    wanted = [name for name in control.state_dict() if name not in own]
    for name in wanted:
        if name not in there:
            raise ValueError(f"control: the denoiser has no {name} to begin with")
    control.load_state_dict({name: there[name] for name in wanted}, strict=False)


class Controlled:
    """A denoiser with a control net beside it, called like the denoiser alone.

    `conditions` are drawings in 0..1 for the whole batch; `scale` says how much they count.
    """

    def __init__(
        self, denoiser: Any, control: Any, conditions: Float[Tensor, "n 3 h w"], scale: float = 1.0
    ) -> None:
        self.denoiser, self.control = denoiser, control
        self.conditions, self.scale = conditions, scale

    def __call__(
        self, noisy: Tensor, timesteps: Tensor, states: Tensor, added_cond_kwargs: dict[str, Tensor]
    ) -> Any:
        """What the denoiser says when the control net adds to its skips."""
        down, mid = self.control(
            noisy,
            timesteps,
            encoder_hidden_states=states,
            controlnet_cond=self.conditions,
            conditioning_scale=self.scale,
            added_cond_kwargs=added_cond_kwargs,
            return_dict=False,
        )
        return self.denoiser(
            noisy,
            timesteps,
            states,
            down_block_additional_residuals=down,
            mid_block_additional_residual=mid,
            added_cond_kwargs=added_cond_kwargs,
        )


def load_control(folder: str, denoiser: Any) -> Any:
    """A diffusers folder, in fp32; ValueError where a weight is missing, extra or does not fit."""
    if not (Path(folder) / "config.json").exists():
        raise FileNotFoundError(f"{folder}/config.json: the control net is not there")
    build: Any = ControlNetModel
    try:
        model, found = build.from_pretrained(
            folder, torch_dtype=torch.float32, output_loading_info=True
        )
    except (RuntimeError, ValueError) as error:
        raise ValueError(f"{folder}: {error}") from error
    for kind in ("missing_keys", "unexpected_keys"):
        if found[kind]:
            raise ValueError(f"{folder}: {kind.replace('_', ' ')}: {sorted(found[kind])}")
    for key in ("block_out_channels", "layers_per_block", "in_channels", "cross_attention_dim"):
        if _plain(model.config[key]) != _plain(denoiser.config[key]):
            raise ValueError(
                f"{folder}: {key} is {model.config[key]}, the denoiser's {denoiser.config[key]}; "
                "it was trained on another architecture"
            )
    return _attending_like(denoiser, model)


def _plain(value: Any) -> Any:
    return list(value) if isinstance(value, list | tuple) else value
