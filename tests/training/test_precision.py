"""The choice of arithmetic."""

import pytest

from training import precision


@pytest.mark.parametrize(
    ("flags", "expected"),
    [({"avx2"}, "32-true"), ({"avx512_bf16"}, "bf16-mixed"), ({"amx_bf16"}, "bf16-mixed")],
)
def test_bf16_is_used_where_the_processor_multiplies_it(
    flags: set[str], expected: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(precision.torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(precision, "cpu_flags", lambda: flags)
    assert precision.best_precision() == expected
