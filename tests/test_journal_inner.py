"""Journal with each of the evaluators: what they yield as it comes is kept, and given back to the same bits."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

import anygrad

X = np.array([1.0, 2.0, -0.5, 3.0])
SCHEMES = [anygrad.Central(), anygrad.Forward(), anygrad.Adaptive(), anygrad.Complex()]
INNER = {"copies": lambda: anygrad.Loop(in_place=False)}
if hasattr(anygrad, "Batch"):
    INNER |= {"batches": anygrad.Batch, "small batches": lambda: anygrad.Batch(max_bytes=64)}
if hasattr(anygrad, "Pool"):
    INNER |= {"threads": lambda: anygrad.Pool(ThreadPoolExecutor(2))}


class PowerCutError(Exception):
    """What ends a run here."""


def function(x):
    """Return squares and a sum, of one point or of many."""
    return {"a": x**2, "b": x.sum(axis=-1)}


def cut_after(count):
    def report(done, total):
        if done >= count:
            raise PowerCutError

    return report


@pytest.mark.parametrize("has_aux", [False, True])
@pytest.mark.parametrize("scheme", SCHEMES, ids=repr)
@pytest.mark.parametrize("name", INNER)
def test_every_evaluator_goes_on(name, scheme, has_aux, tmp_path):
    inner = INNER[name]()
    journal = anygrad.Journal(tmp_path / "night.journal", inner, trust=True)
    f = (lambda x: (function(x), "aux")) if has_aux else function

    def differentiate(evaluator, **options):
        result = anygrad.jacobian(
            f, X.copy(), scheme=scheme, evaluator=evaluator, has_aux=has_aux, full_output=True, **options
        )
        assert not has_aux or result[1] == "aux"
        return result[0] if has_aux else result

    plain = differentiate(anygrad.Loop())
    with pytest.raises(PowerCutError):
        differentiate(journal, progress=cut_after(3))
    seen = []
    again = differentiate(journal, progress=lambda *counts: seen.append(counts))
    complete = differentiate(anygrad.Journal(tmp_path / "night.journal", inner, verify=False, trust=True))
    assert seen[-1][0] >= plain.npoints
    assert complete.ncalls == 1  # at x, for the structure of what f returns
    assert again.npoints <= plain.npoints + 3
    for part in ("a", "b"):
        assert np.allclose(again.value[part], plain.value[part], rtol=1e-9)
        assert again.value[part].tobytes() == complete.value[part].tobytes()


@pytest.mark.parametrize("name", INNER)
def test_failures_with_every_evaluator(name, tmp_path):
    journal = anygrad.Journal(tmp_path / "night.journal", INNER[name](), on_error="nan")

    def f(x):
        if (x[..., 1] > 2.0).any():
            raise ZeroDivisionError("the mesh is degenerate")
        return (x**2).sum(axis=-1)

    result = anygrad.numerical_gradient(f, X.copy(), evaluator=journal, full_output=True)
    assert result.flags["failed"][1]
    assert np.array_equal(np.isnan(result.value), result.flags["failed"])
    assert {failure.error for failure in journal.failures()} == {"ZeroDivisionError: the mesh is degenerate"}
    again = anygrad.numerical_gradient(f, X.copy(), evaluator=journal, full_output=True)
    assert again.ncalls <= 3
    assert again.value.tobytes() == result.value.tobytes()
