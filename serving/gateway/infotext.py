"""The line of text that picture tools read from a file: A1111's `parameters` infotext."""

from luciole.domain import RenderPlan, SolverName

SAMPLERS = {
    SolverName.DDIM: "DDIM",
    SolverName.EULER: "Euler",
    SolverName.EULER_ANCESTRAL: "Euler a",
    SolverName.DPMPP_2M: "DPM++ 2M",
    SolverName.LCM: "LCM",
}


def infotext(plan: RenderPlan, model: str, model_hash: str) -> str:
    """Say how to draw this picture again; the last line is what parsers split at its commas."""
    facts = {
        "Steps": plan.steps,
        "Sampler": SAMPLERS[plan.solver],
        "CFG scale": f"{plan.guidance_scale:g}",
        "Seed": plan.seed,
        "Size": f"{plan.width}x{plan.height}",
        "Model hash": model_hash[:10],
        "Model": model,
    }
    lines = [plan.prompt]
    if plan.negative_prompt:
        lines.append(f"Negative prompt: {plan.negative_prompt}")
    lines.append(", ".join(f"{name}: {value}" for name, value in facts.items()))
    return "\n".join(lines)
