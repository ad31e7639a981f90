"""What guides a plan besides its words."""

from typing import Any

import numpy as np
import pytest

from luciole.bundle import Bundle
from luciole.domain import InvalidRequest, NoiseFamily, RenderPlan, SolverName
from luciole.guided import in_family, refuse_guides

ONE = "1" * 64


def plan(**changes: Any) -> RenderPlan:
    settled: dict[str, Any] = {
        "prompt": "a girl walking in rain",
        "width": 128,
        "height": 128,
        "steps": 4,
        "guidance_scale": 1.0,
        "seed": 1,
        "solver": SolverName.EULER,
    }
    return RenderPlan(**{**settled, **changes})


@pytest.mark.parametrize(
    ("field", "guides"),
    [
        ("start", {"start": {"picture": ONE}}),
        ("start", {"start": {"picture": ONE}, "mask": {"picture": ONE}}),
        ("controls", {"controls": [{"kind": "pose", "picture": ONE}]}),
        ("identities", {"identities": [{"references": [ONE]}]}),
        ("reference", {"reference": {"picture": ONE}}),
        ("anchor", {"anchor": {"picture": ONE}}),
    ],
)
def test_what_a_bundle_cannot_do_is_refused_by_its_field(
    tiny_bundle: Bundle, field: str, guides: Any
) -> None:
    plain = {name: tiny_bundle.manifest.graphs[name] for name in ("text_encoder", "denoiser")}
    manifest = tiny_bundle.manifest.model_copy(update={"graphs": plain})
    refuse_guides(plan(), manifest)
    with pytest.raises(InvalidRequest, match="without its graph") as refused:
        refuse_guides(plan(**guides), manifest)
    assert refused.value.field == field


@pytest.mark.parametrize("share", [0.0, 0.25, 0.9, 1.0])
def test_a_familys_share_is_the_correlation_of_two_of_it(share: float) -> None:
    chance = np.random.default_rng(0)
    one, other = (chance.standard_normal((8, 64, 64), dtype=np.float32) for _ in range(2))
    family = NoiseFamily(seed=5, share=share)
    a, b = in_family(one, family), in_family(other, family)
    assert np.var(a) == pytest.approx(1, abs=0.03)
    assert np.corrcoef(a.ravel(), b.ravel())[0, 1] == pytest.approx(share, abs=0.02)


def test_without_a_family_noise_is_ones_own() -> None:
    own = np.random.default_rng(0).standard_normal((8, 16, 16), dtype=np.float32)
    assert in_family(own, None) is own
    assert (in_family(own, NoiseFamily(seed=5, share=0)) == own).all()
