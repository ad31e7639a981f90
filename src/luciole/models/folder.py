"""Parts from and to an ordinary diffusers folder of the SDXL kind."""

from pathlib import Path
from typing import Any

import torch
from diffusers import (
    AutoencoderKL,
    DPMSolverMultistepScheduler,
    EulerDiscreteScheduler,
    LCMScheduler,
    StableDiffusionXLPipeline,
    UNet2DConditionModel,
)
from safetensors.torch import load_file, save_file
from transformers import CLIPTextModel, CLIPTextModelWithProjection, CLIPTokenizer

from luciole.models.denoiser import AttentionKernel, prepared
from luciole.models.text import TextConditions, use_matmul_attention
from luciole.models.tokenizer import save_tokenizer


def load_autoencoder(folder: str) -> Any:
    """`vae/` of a folder, in fp32."""
    model: Any = AutoencoderKL
    return _whole(model, _present(folder, "vae"), torch_dtype=torch.float32)


def load_denoiser(
    folder: str,
    attention_kernel: AttentionKernel = "matmul",
    gradient_checkpointing: bool = False,
) -> Any:
    """`unet/` of a folder, in fp32, to go on training from."""
    model: Any = UNet2DConditionModel
    loaded = _whole(model, _present(folder, "unet"), torch_dtype=torch.float32)
    return prepared(loaded, attention_kernel, gradient_checkpointing)


def load_conditions(folder: str) -> TextConditions:
    """Both tokenizers and text encoders of a folder, in fp32."""
    first: Any = CLIPTextModel
    second: Any = CLIPTextModelWithProjection
    return TextConditions(
        CLIPTokenizer.from_pretrained(_present(folder, "tokenizer")),
        CLIPTokenizer.from_pretrained(_present(folder, "tokenizer_2")),
        *(
            use_matmul_attention(_whole(model, _present(folder, name), dtype=torch.float32))
            for model, name in ((first, "text_encoder"), (second, "text_encoder_2"))
        ),
    )


def scheduler(prediction_type: str, zero_snr: bool) -> Any:
    """SDXL's noise; with `zero_snr` the steps begin at pure noise, as they then must."""
    build: Any = EulerDiscreteScheduler
    return build(
        num_train_timesteps=1000,
        beta_start=0.00085,
        beta_end=0.012,
        beta_schedule="scaled_linear",
        prediction_type=prediction_type,
        rescale_betas_zero_snr=zero_snr,
        timestep_spacing="trailing" if zero_snr else "leading",
        steps_offset=0 if zero_snr else 1,
    )


def consistency_scheduler(prediction_type: str, zero_snr: bool, levels: int, scaling: float) -> Any:
    """For a few-step student that learned on so many levels of SDXL's noise."""
    build: Any = LCMScheduler
    return build(
        num_train_timesteps=1000,
        beta_start=0.00085,
        beta_end=0.012,
        beta_schedule="scaled_linear",
        prediction_type=prediction_type,
        rescale_betas_zero_snr=zero_snr,
        original_inference_steps=levels,
        timestep_scaling=scaling,
    )


def flow_scheduler(shift: float) -> Any:
    """For a flow model. diffusers' SDXL pipeline cannot use its FlowMatchEuler scheduler, which
    lacks `init_noise_sigma` and `scale_model_input`; it can use DPM-Solver along the same way.
    """
    build: Any = DPMSolverMultistepScheduler
    return build(
        num_train_timesteps=1000,
        prediction_type="flow_prediction",
        use_flow_sigmas=True,
        flow_shift=shift,
    )


def pipeline(autoencoder: Any, conditions: TextConditions, denoiser: Any, noise: Any) -> Any:
    """The parts as diffusers' own pipeline; the empty prompt is encoded like any other."""
    build: Any = StableDiffusionXLPipeline
    return build(
        vae=autoencoder,
        text_encoder=conditions.text_encoder,
        text_encoder_2=conditions.text_encoder_2,
        tokenizer=conditions.tokenizers[0],
        tokenizer_2=conditions.tokenizers[1],
        unet=denoiser,
        scheduler=noise,
        force_zeros_for_empty_prompt=False,
        add_watermarker=False,
    )


def load_pipeline(folder: str) -> Any:
    """The whole folder, in fp32."""
    model: Any = StableDiffusionXLPipeline
    return model.from_pretrained(_present(folder, "model_index.json").parent, dtype=torch.float32)


def save_folder(parts: Any, folder: Path, half: bool) -> None:
    """Write the pipeline's parts; `half` stores fp16. CLIP's first tokenizer files come along."""
    parts.save_pretrained(folder)
    for name in ("tokenizer", "tokenizer_2"):
        save_tokenizer(getattr(parts, name), folder / name)
    if half:
        for weights in folder.rglob("*.safetensors"):
            _halve(weights)


def _halve(file: Path) -> None:
    tensors = {name: weight.half() for name, weight in load_file(file).items()}
    save_file(tensors, file, metadata={"format": "pt"})


def _whole(model: Any, path: Path, **how: Any) -> Any:
    """The model; ValueError names file and key where one is missing, extra or of another shape.

    The libraries would fill in what is missing by chance, and only warn.
    """
    file = next(iter(sorted(path.glob("*.safetensors"))), path)
    try:
        loaded, found = model.from_pretrained(path, output_loading_info=True, **how)
    except (RuntimeError, ValueError) as error:
        raise ValueError(f"{file}: does not fit config.json beside it: {error}") from error
    for kind, told in (
        ("missing_keys", "is missing"),
        ("unexpected_keys", "has no place in this model"),
        ("mismatched_keys", "has another shape than config.json says"),
    ):
        if found[kind]:
            key = min(map(str, found[kind]))
            raise ValueError(f"{file}: {key} {told}; take weights of this architecture")
    return loaded


def _present(folder: str, part: str) -> Path:
    """The part's path, or FileNotFoundError that says which part is missing."""
    path = Path(folder) / part
    if not path.exists():
        raise FileNotFoundError(f"{path}: this part of the model is not there")
    return path
