"""Who is warned that f may read x through a closure, and who is not."""

from __future__ import annotations

import numpy as np
import pytest

import anygrad

COPIES = anygrad.Loop(in_place=False)


@pytest.mark.parametrize("inner", [anygrad.Batch(), anygrad.Batch(max_bytes=48), COPIES], ids=repr)
def test_a_constant_f_is_noticed_through_a_journal(tmp_path, inner):
    def f(x):
        return np.ones(x.shape[:-1])

    journal = anygrad.Journal(tmp_path / "journal", inner)
    for _ in range(2):  # evaluated, and taken from the file
        with pytest.warns(anygrad.ConstantFunctionWarning, match="copies of x"):
            assert np.array_equal(anygrad.numerical_gradient(f, np.ones(3), evaluator=journal), np.zeros(3))


@pytest.mark.parametrize("evaluator", [COPIES, anygrad.Batch()], ids=repr)
@pytest.mark.parametrize("value", [np.inf, -np.inf, np.nan])
@pytest.mark.filterwarnings("error")
def test_an_f_that_is_nowhere_finite_is_not_taken_for_a_constant_one(evaluator, value):
    def f(x):
        return np.full(x.shape[:-1], value)

    for scheme in (None, None, anygrad.Forward(), anygrad.Adaptive()):  # seen before, f may be called another way
        assert np.all(np.isnan(anygrad.numerical_gradient(f, np.ones(3), scheme=scheme, evaluator=evaluator)))


@pytest.mark.libraries(lambda lib: not lib.lazy)
@pytest.mark.filterwarnings("error")
def test_along_no_direction_nothing_changes_and_nobody_is_warned(lib):
    x, nowhere = (lib.asarray(numbers, "float32") for numbers in (np.ones(3), np.zeros(3)))
    assert np.array_equal(lib.numpy(anygrad.jvp(lambda x: x**2, x, nowhere, evaluator=COPIES)), [0, 0, 0])
    assert np.array_equal(lib.numpy(anygrad.hvp(lambda x: lib.xp.sum(x**2), x, nowhere, evaluator=COPIES)), [0, 0, 0])
    product = anygrad.hvp(None, x, nowhere, grad=lambda x: 2 * x, evaluator=COPIES)
    assert np.array_equal(lib.numpy(product), [0, 0, 0])


@pytest.mark.parametrize("evaluator", [COPIES, anygrad.Batch()], ids=repr)
def test_along_a_direction_a_constant_f_is_noticed(evaluator):
    with pytest.warns(anygrad.ConstantFunctionWarning):
        anygrad.jvp(lambda x: np.ones(x.shape[:-1]), np.ones(3), np.ones(3), evaluator=evaluator)


@pytest.mark.parametrize(
    "x", [[3.0, 4.0], 3.0, (2.0, [1.0]), {"a": 3.0, "b": 2.0}, {"a": [[3.0]]}, np.float32(3)], ids=repr
)
@pytest.mark.parametrize(
    "operator", [anygrad.numerical_gradient, anygrad.jacobian, anygrad.hessian, anygrad.laplacian, anygrad.grad]
)
def test_an_f_that_reads_the_original_numbers_is_noticed(x, operator):
    differentiate = operator(lambda _: 9.0) if operator is anygrad.grad else lambda x: operator(lambda _: 9.0, x)
    with pytest.warns(anygrad.ConstantFunctionWarning, match="copies of x") as caught:
        differentiate(x)
    assert caught[0].filename == __file__


@pytest.mark.parametrize("operator", [anygrad.numerical_gradient, anygrad.jacobian, anygrad.hessian])
@pytest.mark.parametrize("x", [{"a": np.ones(2), "b": [1.0]}, {"a": [1.0], "b": np.ones(2)}], ids=repr)
def test_numbers_beside_arrays_that_f_reads_elsewhere_are_noticed(operator, x):
    """Wherever in the tree they are."""
    with pytest.warns(anygrad.ConstantFunctionWarning):
        operator(lambda _: 9.0, x)


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("x", [[0.0, 0.0], {"a": 0.0, "b": [1.0]}], ids=repr)
def test_numbers_that_f_does_read_are_no_reason_to_warn(x):
    def f(x):
        return x["a"] ** 2 if isinstance(x, dict) else x[0] ** 2

    for operator in (anygrad.numerical_gradient, anygrad.hessian):
        operator(f, x)
