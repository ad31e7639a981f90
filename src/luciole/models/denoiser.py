"""SDXL's denoiser in any size."""

from collections.abc import Sequence
from typing import Any, Literal

from diffusers import UNet2DConditionModel
from diffusers.models.attention_processor import AttnProcessor, AttnProcessor2_0
from diffusers.utils.import_utils import is_xformers_available

AttentionKernel = Literal["matmul", "sdpa", "xformers"]


def denoiser(
    sample_size: int,
    latent_channels: int,
    block_out_channels: Sequence[int],
    attention: Sequence[int],
    layers_per_block: int,
    head_width: int,
    text_width: int,
    pooled_width: int,
    time_ids_width: int,
    norm_num_groups: int,
    attention_kernel: AttentionKernel = "matmul",
    gradient_checkpointing: bool = False,
) -> Any:
    """UNet2DConditionModel; `attention` counts each level's transformer layers, 0 for none.

    `pooled_width` is the second text encoder's, `time_ids_width` that of each of the six sizes.
    """
    down = ["CrossAttnDownBlock2D" if layers else "DownBlock2D" for layers in attention]
    up = ["CrossAttnUpBlock2D" if layers else "UpBlock2D" for layers in reversed(attention)]
    build: Any = UNet2DConditionModel
    model = build(
        sample_size=sample_size,
        in_channels=latent_channels,
        out_channels=latent_channels,
        down_block_types=tuple(down),
        up_block_types=tuple(up),
        block_out_channels=tuple(block_out_channels),
        layers_per_block=layers_per_block,
        transformer_layers_per_block=tuple(max(1, layers) for layers in attention),
        attention_head_dim=tuple(width // head_width for width in block_out_channels),
        cross_attention_dim=text_width,
        use_linear_projection=True,
        addition_embed_type="text_time",
        addition_time_embed_dim=time_ids_width,
        projection_class_embeddings_input_dim=pooled_width + 6 * time_ids_width,
        norm_num_groups=norm_num_groups,
    )
    return prepared(model, attention_kernel, gradient_checkpointing)


def prepared(model: Any, attention_kernel: AttentionKernel, gradient_checkpointing: bool) -> Any:
    """The model with its way to compute; none of them changes what it computes.

    `matmul` is best on CPUs, `sdpa` on GPUs. Checkpointing computes each block again in the
    backward pass instead of keeping it in memory. Raises ValueError for a kernel that is unknown
    or not installed.
    """
    match attention_kernel:
        case "matmul":
            use_matmul_attention(model)
        case "sdpa":
            fused: Any = AttnProcessor2_0
            model.set_attn_processor(fused())
        case "xformers":
            installed: Any = is_xformers_available
            if not installed():
                raise ValueError(
                    "attention_kernel: xformers is not installed; pip install xformers or take sdpa"
                )
            model.enable_xformers_memory_efficient_attention()
        case _:
            raise ValueError(
                f"attention_kernel: {attention_kernel!r} is none of matmul, sdpa, xformers"
            )
    if gradient_checkpointing:
        model.enable_gradient_checkpointing()
    return model


def use_matmul_attention(model: Any) -> Any:
    """Attention as two matrix products.

    On a CPU with bf16 units its backward takes a fraction of the fused kernel's time at 256 tokens.
    """
    model.set_attn_processor(AttnProcessor())
    return model
