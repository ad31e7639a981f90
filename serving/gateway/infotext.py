"""The line of text that picture tools read from a file: A1111's `parameters` infotext."""

from luciole.bundle import Manifest
from luciole.domain import RenderPlan, SolverName

SAMPLERS = {
    SolverName.DDIM: "DDIM",
    SolverName.EULER: "Euler",
    SolverName.EULER_ANCESTRAL: "Euler a",
    SolverName.DPMPP_2M: "DPM++ 2M",
    SolverName.LCM: "LCM",
}


def infotext(plan: RenderPlan, manifest: Manifest) -> str:
    """Say how to draw this picture again; the last line is what parsers split at its commas."""
    facts: dict[str, object] = {
        "Steps": plan.steps,
        "Sampler": SAMPLERS[plan.solver],
        "CFG scale": f"{plan.guidance_scale:g}",
        "Seed": plan.seed,
        "Size": f"{plan.width}x{plan.height}",
        "Model hash": manifest.source[:10],
        "Model": manifest.name,
    }
    if plan.guidance_eta != 1:
        facts["Guidance eta"] = f"{plan.guidance_eta:g}"
    if plan.start is not None:
        facts["Denoising strength"] = f"{plan.start.strength:g}"
    words = plan.prompt
    if plan.styles:
        words += " " + " ".join(f"<lora:{use.name}:{use.weight:g}>" for use in plan.styles)
        hashes = [f"{use.name}: {_style_hash(use.name, manifest)}" for use in plan.styles]
        facts["Lora hashes"] = f'"{", ".join(hashes)}"'
    lines = [words]
    if plan.negative_prompt:
        lines.append(f"Negative prompt: {plan.negative_prompt}")
    lines.append(", ".join(f"{name}: {value}" for name, value in facts.items()))
    return "\n".join(lines)


def _style_hash(name: str, manifest: Manifest) -> str:
    style = manifest.styles.get(name)
    return "unknown" if style is None else manifest.files[style.file][:12]
