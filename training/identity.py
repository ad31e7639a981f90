"""A character that goes from picture to picture: an IP-Adapter on a frozen denoiser."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from luciole.adapters.identity import IdentityAdapter
from luciole.data.pairs import LOOKS
from luciole.data.stream import Batch
from luciole.diffusion.draws import Draws
from luciole.diffusion.losses import Predict
from luciole.models.classifier import AttributeClassifier
from luciole.models.vision import clip_pixels
from training.diffusion import DiffusionTask, telling
from training.task import frozen

WEIGHTS = "ip_adapter.safetensors"


class IdentityTask(DiffusionTask):
    """Learns what a reference tells the denoiser; the denoiser, its words and the eye are frozen.

    The reference's samples lose their words, their reference or both as the data says.
    """

    def __init__(
        self,
        denoiser: Any,
        image_encoder: Any,
        adapter: Callable[[Any, Any], IdentityAdapter],
        judge: AttributeClassifier | None,
        judged: int,
        **training: Any,
    ) -> None:
        super().__init__(frozen(denoiser), **training)
        self.image_encoder = frozen(image_encoder)
        self.judge, self.judged = judge and frozen(judge), judged
        self.adapter = adapter(self.denoiser, self.image_encoder)
        self.adapter.attach(self.denoiser)

    def predict(self, batch: Batch, draws: Draws) -> Predict:
        """The denoiser, told this batch's words, sizes and references."""
        seen = self.references(batch["references"], batch["shown"])

        def shown(*asked: Any, added_cond_kwargs: dict[str, Any]) -> Any:
            told = {**added_cond_kwargs, "image_embeds": [seen]}
            return self.denoiser(*asked, added_cond_kwargs=told)

        return telling(shown, *self.words(batch), batch["time_ids"])

    @torch.no_grad()
    def references(self, pictures: Float[Tensor, "n 3 h w"], shown: Tensor) -> Tensor:
        """What the adapter is given to read of them, [n, 1, ...]."""
        return self.adapter.look(self.image_encoder, clip_pixels(pictures), shown)

    def validation_step(self, batch: Batch, batch_idx: int) -> None:
        """The loss; once, how many of a character's looks the judge reads again in results.

        The wordings of held-out pairs do not name them.
        """
        super().validation_step(batch, batch_idx)
        if self.judge is None or batch_idx:
            return
        count = min(self.judged, len(batch["latents"]))
        read = self.judge.read(self.drawn(batch, list(batch["captions"][:count])))
        pairs = zip(read, batch["labels"], strict=False)
        right = [seen[look] == label[look] for seen, label in pairs for look in LOOKS]
        self.log("val/looks", sum(right) / len(right), prog_bar=True, batch_size=count)

    @torch.no_grad()
    def samples(self, batch: Batch) -> Float[Tensor, "n 3 h w"]:
        """A row of references, a row with their own captions, a row with the configured prompts."""
        count = min(len(self.prompts), len(batch["latents"]))
        captions = [caption or "a person" for caption in batch["captions"][:count]]
        rows = [self.drawn(batch, prompts) for prompts in (captions, self.prompts[:count])]
        shown = torch.nn.functional.interpolate(batch["references"][:count], rows[0].shape[-2:])
        return torch.cat([shown, *rows])

    @torch.no_grad()
    def drawn(self, batch: Batch, prompts: list[str]) -> Float[Tensor, "n 3 h w"]:
        """Each prompt with the reference of its row, from the same seeds every time.

        One by one: diffusers' pipeline gives the same reference to all prompts of a call.
        """
        size, parts = 8 * batch["latents"].shape[-1], self.pipeline()
        pictures = []
        for row, prompt in enumerate(prompts):
            reference = batch["references"][row : row + 1].repeat(2, 1, 1, 1)
            shown = torch.tensor([False, True], device=reference.device)
            pictures += parts(
                prompt,
                ip_adapter_image_embeds=[self.references(reference, shown)],
                width=size,
                height=size,
                num_inference_steps=self.sample_steps,
                guidance_scale=self.sample_guidance,
                generator=torch.Generator().manual_seed(self.seed + row),
                output_type="pt",
            ).images
        return torch.stack(pictures) * 2 - 1

    def usage(self, folder: Path) -> str:
        """With diffusers' pipeline of the base."""
        return f'pipeline.load_ip_adapter("{folder}", subfolder="", weight_name="{WEIGHTS}")'

    def write(self, folder: Path) -> None:
        """`ip_adapter.safetensors` and `image_encoder/`, as diffusers' `load_ip_adapter` wants."""
        self.adapter.save(folder / WEIGHTS, half=False, metadata={})
        self.image_encoder.save_pretrained(folder / "image_encoder")
