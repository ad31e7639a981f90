"""The same work as others do it: diffusers and peft on the same weights."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from diffusers import DPMSolverMultistepScheduler, StableDiffusionXLPipeline
from numpy.typing import NDArray
from peft.tuners.lora import LoraLayer

from luciole.bundle import Bundle
from luciole.domain import RenderPlan

RANK = 8
Weights = Mapping[str, tuple[NDArray[np.float32], NDArray[np.float32]]]
"""Down [rank, in] and up [out, rank] by layer."""


def random_styles(bundle: Bundle, names: Sequence[str]) -> dict[str, Weights]:
    """Styles of rank 8 on every layer that takes any, small enough to leave a picture."""
    chance = np.random.default_rng(0)
    layers = bundle.manifest.banks[0].layers

    def factor(*shape: int) -> NDArray[np.float32]:
        return np.asarray(0.05 * chance.standard_normal(shape), np.float32)

    return {
        name: {one.path: (factor(RANK, one.inputs), factor(one.outputs, RANK)) for one in layers}
        for name in names
    }


class Peers:
    """diffusers' pipeline with every style as an adapter of peft."""

    def __init__(self, folder: Path, styles: Mapping[str, Weights]) -> None:
        build: Any = StableDiffusionXLPipeline
        self.pipe = build.from_pretrained(folder)
        self.pipe.set_progress_bar_config(disable=True)
        self.plain = _plain(folder, torch.float32)
        self.half = _plain(folder, torch.bfloat16)
        self.unet = self.pipe.unet.eval()
        for name, layers in styles.items():
            state = {}
            for path, (down, up) in layers.items():
                state[f"{path}.lora_A.weight"] = torch.from_numpy(down)
                state[f"{path}.lora_B.weight"] = torch.from_numpy(up)
            self.unet.load_lora_adapter(state, prefix=None, adapter_name=name)

    @torch.inference_mode()
    def one_by_one(
        self, inputs: Mapping[str, NDArray[Any]], mixes: Sequence[Sequence[tuple[str, float]]]
    ) -> NDArray[np.float32]:
        """Each request alone, its adapters set before."""
        answers = []
        for row, mix in enumerate(mixes):
            self.unet.set_adapters([name for name, _ in mix], [weight for _, weight in mix])
            answers.append(self._asked({k: v[row : row + 1] for k, v in inputs.items()}))
        return np.concatenate(answers)

    @torch.inference_mode()
    def together(
        self, inputs: Mapping[str, NDArray[Any]], mixes: Sequence[Sequence[tuple[str, float]]]
    ) -> NDArray[np.float32]:
        """All in one batch: peft can give each row one adapter of full weight, no mix."""
        names = [mix[0][0] for mix in mixes]
        self.unet.set_adapters(sorted(set(names)))

        def told(_: Any, given: Any, more: dict[str, Any]) -> tuple[Any, dict[str, Any]]:
            return given, {**more, "adapter_names": names}

        layers = [one for one in self.unet.modules() if isinstance(one, LoraLayer)]
        hooks = [one.register_forward_pre_hook(told, with_kwargs=True) for one in layers]  # type: ignore[attr-defined]
        try:
            return self._asked(inputs)
        finally:
            for hook in hooks:
                hook.remove()

    @torch.inference_mode()
    def picture(self, plan: RenderPlan, noise: NDArray[np.float32]) -> NDArray[np.uint8]:
        """From words to pixels, without styles."""
        return self._drawn(self.plain, plan, noise)

    @torch.inference_mode()
    def picture_in_bf16(self, plan: RenderPlan, noise: NDArray[np.float32]) -> NDArray[np.uint8]:
        """The same as this processor's bf16 units draw it."""
        return self._drawn(self.half, plan, noise)

    def _drawn(self, pipe: Any, plan: RenderPlan, noise: NDArray[np.float32]) -> NDArray[np.uint8]:
        answer = pipe(
            plan.prompt,
            negative_prompt=plan.negative_prompt,
            height=plan.height,
            width=plan.width,
            num_inference_steps=plan.steps,
            guidance_scale=plan.guidance_scale,
            latents=torch.from_numpy(noise[None]).to(pipe.dtype),
            output_type="pil",
        )
        return np.array(answer.images[0])

    def _asked(self, inputs: Mapping[str, NDArray[Any]]) -> NDArray[np.float32]:
        given = {name: torch.from_numpy(value) for name, value in inputs.items()}
        added = {"text_embeds": given["pooled"], "time_ids": given["time_ids"]}
        answer = self.unet(
            *(given[name] for name in ("latents", "timestep", "text_states")),
            added_cond_kwargs=added,
            return_dict=False,
        )[0]
        found: NDArray[np.float32] = answer.numpy()
        return found


def _plain(folder: Path, dtype: torch.dtype) -> Any:
    """Without adapters."""
    build: Any = StableDiffusionXLPipeline
    pipe = build.from_pretrained(folder, torch_dtype=dtype)
    pipe.set_progress_bar_config(disable=True)
    solver: Any = DPMSolverMultistepScheduler
    pipe.scheduler = solver.from_config(pipe.scheduler.config)
    return pipe
