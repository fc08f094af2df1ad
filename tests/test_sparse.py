"""Sparse Jacobians: how many calls they take, that they are the dense ones, and that a wrong pattern is noticed."""

from __future__ import annotations

import pickle
import sys

import numpy as np
import pytest
import scipy.sparse as sp
from hypothesis import given
from hypothesis import strategies as st
from problems import grid, like
from random_examples import examples

import anygrad

SCHEMES = [
    anygrad.Central(),
    anygrad.Central(order=4),
    anygrad.Forward(),
    anygrad.Backward(order=2),
    anygrad.Adaptive(),
    anygrad.Complex(),
]


def dense(lib, array):
    """Read a Jacobian back, whatever it is."""
    if isinstance(array, np.ndarray) or sp.issparse(array):
        return np.asarray(array.toarray() if sp.issparse(array) else array)
    for method in ("to_dense", "todense"):
        if hasattr(array, method):
            array = getattr(array, method)()
    return lib.numpy(array)


def banded(n, width=1):
    return np.abs(np.subtract.outer(np.arange(n), np.arange(n))) <= width


def arrow(n):
    pattern = np.eye(n, dtype=bool)
    pattern[0] = pattern[:, 0] = True
    return pattern


def problem(pattern, seed=0):
    """Return a function of NumPy arrays with this pattern, and its Jacobian."""
    matrix = sp.csr_array(np.where(pattern, np.random.default_rng(seed).uniform(0.5, 2, pattern.shape), 0.0))

    def f(x):
        return matrix @ (x + x**2)

    return f, lambda x: matrix.toarray() * (1 + 2 * x)


PATTERNS = [
    ("tridiagonal", banded(300), 3),
    ("block diagonal", np.kron(np.eye(100), np.ones((5, 5))).astype(bool), 5),
    ("arrow", arrow(700), 700),
    ("one column", np.ones((20, 1), dtype=bool), 1),
    ("nothing", np.zeros((20, 30), dtype=bool), 0),
]


@pytest.mark.parametrize(("pattern", "groups"), [rest for _, *rest in PATTERNS], ids=[name for name, *_ in PATTERNS])
def test_the_calls_of_f(pattern, groups):
    f, jacobian = problem(pattern)
    x = grid(pattern.shape[1], seed=1)
    calls = 0

    def counted(x):
        nonlocal calls
        calls += 1
        return f(x)

    result = anygrad.jacobian(counted, x, sparsity=pattern, full_output=True)
    # Two for each group, two for the random direction; and f(x) where there is nothing else to learn f's shape from.
    assert calls == result.ncalls == result.npoints == 2 * groups + 2 + (not groups)
    assert result.value.nnz == np.count_nonzero(pattern)
    assert np.allclose(result.value.toarray(), jacobian(x), rtol=1e-7, atol=1e-7)


@pytest.mark.parametrize("scheme", SCHEMES, ids=repr)
def test_a_tridiagonal_jacobian_costs_what_one_of_three_elements_does(scheme):
    (f, jacobian), x = problem(banded(300)), grid(300, seed=1)
    result = anygrad.jacobian(f, x, sparsity=banded(300), scheme=scheme, full_output=True)
    if isinstance(scheme, (anygrad.Central, anygrad.Forward, anygrad.Backward)):
        assert result.ncalls == scheme.calls(3 + 1)
    else:
        # Complex looks along the real axis, too, at each group with a zero.
        assert result.ncalls <= 4 * (5 if scheme.samples_complex else 30)
        assert result.error is None or np.all(abs(result.value - jacobian(x)) <= result.error.toarray() + 1e-300)
    assert np.allclose(result.value.toarray(), jacobian(x), rtol=1e-6, atol=1e-6)


@examples(25)
@given(
    shape=st.tuples(st.integers(1, 12), st.integers(1, 12)),
    density=st.floats(0, 0.6),
    seed=st.integers(0, 999),
    scheme=st.sampled_from(SCHEMES),
    bounded=st.booleans(),
)
def test_random_patterns_give_the_dense_jacobian(shape, density, seed, scheme, bounded):
    random = np.random.default_rng(seed)
    pattern = random.uniform(size=shape) < density
    pattern[0, 0] = True  # of a constant there is a warning
    f, jacobian = problem(pattern, seed)
    x = random.uniform(-2, 2, shape[1])
    bounds = None
    if bounded and not scheme.samples_complex:
        near = random.choice([0.0, 1e-3, 5.0], (2, shape[1]))
        near[1] += near[0] == 0  # there must be room on one side
        bounds = (x - near[0], x + near[1])

    def inside(z):
        if bounds is not None:
            assert np.all((z >= bounds[0]) & (z <= bounds[1]))
        return f(z)

    got = anygrad.jacobian(inside, x, sparsity=pattern, scheme=scheme, bounds=bounds)
    detected = anygrad.jacobian(inside, x, sparsity="detect", scheme=scheme, bounds=bounds)
    assert got.nnz == np.count_nonzero(pattern)
    for result in (got, detected):
        assert np.allclose(result.toarray(), jacobian(x), rtol=1e-6, atol=1e-6)
    assert np.array_equal(detected.toarray() != 0, pattern) or shape[1] == 1


def test_entries_are_those_of_the_dense_jacobian_in_every_library_and_dtype(lib, dtype):
    n, pattern = 9, banded(9)
    x = lib.asarray(np.linspace(-1.0, 2.0, n), dtype)

    def f(x):
        padded = lib.xp.concat([x[:1], x, x[:1]])
        inner = padded[:-2] + x * x - padded[2:] * x
        return inner[1:-1]

    want = dense(lib, anygrad.jacobian(f, x))
    result = anygrad.jacobian(f, x, sparsity=pattern[1:-1], full_output=True)
    got = dense(lib, result.value)
    assert got.shape == (n - 2, n)
    eps = float(np.max(np.abs(want))) * {"float16": 0.05, "bfloat16": 0.3, "float32": 1e-3}.get(dtype, 1e-8)
    assert np.max(np.abs(got - want)) <= eps
    assert tuple(result.step.shape) == (n,)
    for flag in result.flags.values():
        assert not dense(lib, flag).any()
    assert result.ncalls == 2 * 3 + (0 if lib.lazy else 2)


@pytest.mark.libraries(lambda lib: not lib.lazy)
def test_a_pattern_is_detected_in_every_library_and_dtype(lib, dtype):
    x = lib.asarray(np.linspace(-1.0, 2.0, 20), dtype)
    result = anygrad.jacobian(lambda x: x[1:] * 2 - x[:-1], x, sparsity="detect", full_output=True)
    want = np.eye(19, 20, 1) * 2 - np.eye(19, 20)
    got = dense(lib, result.value)
    assert np.array_equal(got != 0, want != 0)
    assert np.max(np.abs(got - want)) < {"float16": 0.05, "bfloat16": 0.3, "float32": 1e-3}.get(dtype, 1e-8)
    assert result.ncalls < 48  # float16 hides some entries at the first point, so that the second one is searched too


def test_the_result_is_a_sparse_array_of_the_library(lib):
    x = lib.asarray(np.ones(3), "float32")
    result = anygrad.jacobian(lambda x: x * x, x, sparsity=np.eye(3, dtype=bool), full_output=True)
    kinds = {
        "numpy": "scipy.sparse._csr.csr_array",
        "cupy": "cupyx.scipy.sparse._csr.csr_matrix",
        "torch": "torch.Tensor",
        "jax": "jax.experimental.sparse.bcoo.BCOO",
    }
    kind = type(result.value)
    wanted = kinds.get(lib.name.partition("-")[0], f"{type(x).__module__}.{type(x).__qualname__}")
    assert f"{kind.__module__}.{kind.__qualname__}" == wanted
    if lib.name.startswith("torch"):
        assert result.value.is_sparse
        assert result.value.is_coalesced()
    assert type(result.flags["nonfinite"]) is kind


@pytest.mark.libraries(lambda lib: not lib.lazy and lib.name != "strict-device1")  # whose arrays NumPy cannot read
def test_a_pattern_of_the_library_and_a_jacobian_as_a_pattern(lib):
    x = lib.asarray(np.array([1.0, 2.0, 3.0]), "float32")
    pattern = lib.xp.asarray([[True, False, False], [True, True, False], [False, False, True]], device=lib.device)

    def f(x):
        return lib.xp.concat([x[:1] * 0, x[:1] * x[1:2], x[2:]])

    first = anygrad.jacobian(f, x, sparsity=pattern)
    for sparsity in (first, anygrad.sparsity(first)):
        second = anygrad.jacobian(f, x, sparsity=sparsity, full_output=True)
        # Its stored zero is part of the pattern, where there are stored ones.
        assert second.ncalls == 2 * 2 + 2
        assert np.allclose(dense(lib, second.value), [[0, 0, 0], [2, 1, 0], [0, 0, 1]], atol=1e-2)


@pytest.mark.parametrize("kind", [sp.csr_array, sp.csc_array, sp.coo_array, sp.csr_matrix, sp.dok_array])
def test_the_format_is_that_of_the_pattern(kind):
    (f, jacobian), x = problem(banded(6)), grid(6, seed=2)
    half = anygrad.jacobian(f, x.astype("float16"), sparsity=kind(banded(6)))  # which SciPy has not
    assert half.dtype == np.float32
    result = anygrad.jacobian(f, x, sparsity=kind(banded(6)), full_output=True)
    assert type(result.value) is type(result.flags["nonfinite"]) is kind
    assert np.allclose(result.value.toarray(), jacobian(x))


def test_functions_that_ignore_their_argument():
    x = grid(50, seed=4)
    before = x.tobytes()
    result = anygrad.jacobian(lambda _: x[1:] * x[:-1], x, sparsity=banded(50)[1:], full_output=True)
    assert np.allclose(result.value.toarray(), np.eye(49, 50) * x[1:, None] + np.eye(49, 50, 1) * x[:-1, None])
    assert x.tobytes() == before
    detected = anygrad.jacobian(lambda _: x[1:] * x[:-1], x, sparsity="detect")
    assert detected.nnz == 98
    x.flags.writeable = False
    with pytest.warns(anygrad.ConstantFunctionWarning, match="copies of x"):
        anygrad.jacobian(lambda _: x[1:] * x[:-1], x, sparsity="detect")


def test_a_known_value_aux_and_progress_of_a_sparse_jacobian():
    seen, x = [], np.arange(1.0, 5.0)
    result, aux = anygrad.jacobian(
        lambda x: (x**2, "aux"),
        x,
        sparsity=np.eye(4),
        scheme=anygrad.Forward(),
        f0=(x**2, "known"),
        has_aux=True,
        progress=lambda *counts: seen.append(counts),
        full_output=True,
    )
    assert aux == "known"
    assert result.ncalls == 2
    assert seen[-1] == (2, 2)
    assert np.allclose(result.value.toarray(), np.diag(2 * x), atol=1e-6)


@pytest.mark.parametrize("part", [abs, lambda z: z], ids=["real", "holomorphic"])
def test_a_sparse_jacobian_of_complex_x(part):
    x = grid(6, seed=5) + 1j * grid(6, seed=6)

    def f(x):
        return part(x[1:] ** 2 + x[:-1])

    got = anygrad.jacobian(f, x, sparsity=banded(6)[1:])
    assert np.allclose(got.toarray(), anygrad.jacobian(f, x), atol=1e-7)
    assert np.allclose(anygrad.jacobian(f, x, sparsity="detect").toarray(), got.toarray(), atol=1e-12)


def test_steps_are_those_of_the_elements():
    f, jacobian = problem(banded(30))
    x, steps = grid(30, seed=7), np.linspace(1e-6, 1e-4, 30)
    result = anygrad.jacobian(f, x, sparsity=banded(30), scheme=anygrad.Central(step=steps), full_output=True)
    assert np.allclose(result.step, steps, rtol=1e-9)  # as x + step is rounded
    assert result.error is None
    pattern = banded(30)
    pattern[:, 3] = False
    ignorant = anygrad.jacobian(lambda x: f(np.where(np.arange(30) == 3, 0, x)), x, sparsity=pattern, full_output=True)
    assert np.array_equal(ignorant.step == 0, np.arange(30) == 3)
    assert np.allclose(ignorant.value.toarray(), jacobian(x) * pattern)


def test_a_column_at_its_bound_leaves_the_others_alone():
    """One near a bound on both sides, of one step's length, and one at a bound: the others have the same bits."""
    f, _ = problem(banded(60))
    x = grid(60, seed=8)
    lower, upper = np.full(60, -np.inf), np.full(60, np.inf)
    lower[10], upper[10] = x[10] - 1e-8, x[10] + 1e-7
    upper[31] = x[31]
    free = anygrad.jacobian(f, x, sparsity=banded(60), full_output=True)
    bound = anygrad.jacobian(f, x, sparsity=banded(60), bounds=(lower, upper), full_output=True)
    others = ~np.isin(np.arange(60), [10, 31])
    assert np.array_equal(bound.value.toarray()[:, others], free.value.toarray()[:, others])
    assert np.array_equal(bound.flags["one_sided"].toarray().any(axis=0), ~others)
    assert np.allclose(bound.value.toarray(), free.value.toarray(), atol=1e-6)
    assert bound.ncalls <= 2 * 3 + 3 * 2 + 3


@pytest.mark.parametrize("scheme", SCHEMES, ids=repr)
def test_a_missing_entry_is_noticed(scheme):
    (f, _), pattern = problem(banded(40)), banded(40)
    pattern[5, 6] = False
    lacking = r"sparsity lacks entries of the Jacobian: .* of f\(x\)\[5\]"
    with pytest.raises(ValueError, match=lacking):
        anygrad.jacobian(f, grid(40, seed=9), sparsity=pattern, scheme=scheme)


def test_a_pattern_is_a_list_of_x_and_f_in_c_order():
    x = grid(2, 3, seed=3)
    jacobian = anygrad.jacobian(lambda x: (x**2).T, x, sparsity=np.eye(6)[[0, 3, 1, 4, 2, 5]].tolist())
    assert np.allclose(jacobian.toarray(), anygrad.jacobian(lambda x: (x**2).T, x).reshape(6, 6))
    assert anygrad.jacobian(lambda x: [x[0], 2.0], [1.0, 2.0], sparsity="detect").nnz == 1
    for sparsity in (np.ones((2, 0)), "detect"):
        assert anygrad.jacobian(lambda x: np.ones(2), np.ones(0), sparsity=sparsity).shape == (2, 0)
    assert anygrad.jacobian(lambda x: x[:0], np.ones(2), sparsity="detect").shape == (0, 2)


@pytest.mark.libraries(lambda lib: not lib.lazy)
def test_a_missing_entry_is_noticed_in_every_library(lib):
    x = lib.asarray(np.linspace(1, 2, 6), "float32")
    matrix = np.triu(np.ones((6, 6)))
    with pytest.raises(ValueError, match="lacks entries"):
        anygrad.jacobian(lambda x: like(lib.xp, matrix, x) @ x, x, sparsity=banded(6))


def test_crude_steps_and_rounding_make_no_wrong_pattern():
    f, jacobian = problem(banded(40))
    x = grid(40, seed=9)
    crude = anygrad.jacobian(lambda x: np.sin(3 * f(x)), x, sparsity=banded(40), scheme=anygrad.Central(step=0.01))
    assert np.allclose(crude.toarray(), 3 * np.cos(3 * f(x))[:, None] * jacobian(x), atol=0.5)
    anygrad.jacobian(lambda x: f(x) + 1e6, x, sparsity=banded(40))
    noise = np.random.default_rng(0)
    noisy = anygrad.Central(noise=1e-5)
    anygrad.jacobian(lambda x: f(x) * (1 + 1e-6 * noise.normal(size=40)), x, sparsity=banded(40), scheme=noisy)


def test_not_finite_values_are_flagged():
    x = np.array([1.0, 0.0, 2.0, 3.0])
    with np.errstate(all="ignore"):
        result = anygrad.jacobian(np.log, x, sparsity=np.eye(4), full_output=True)
    assert np.array_equal(result.flags["nonfinite"].toarray(), np.diag([False, True, False, False]))


def test_what_shows_at_the_second_point_alone_is_found():
    """The first point takes 7 calls: f there, and two groups at three sizes of blocks."""
    calls = []

    def f(x):
        calls.append(1)
        return np.concatenate([x, x[:4] if len(calls) > 7 else np.zeros(4)])

    jacobian = anygrad.jacobian(f, np.zeros(8), sparsity="detect")
    assert np.allclose(jacobian.toarray(), np.concatenate([np.eye(8), np.eye(4, 8)]))


def test_a_branch_that_shows_later_is_an_error():
    calls = []

    def f(x):
        calls.append(1)
        return x + (np.roll(x, 1) if len(calls) > 9 else 0.0)

    with pytest.raises(ValueError, match="the pattern found lacks entries"):
        anygrad.jacobian(f, np.zeros(8), sparsity="detect")


@pytest.mark.parametrize(
    ("sparsity", "error", "message"),
    [
        ("auto", TypeError, "sparsity is 'auto', but a SciPy sparse array"),
        (np.array(["a"]), TypeError, "or 'detect' was expected"),
        (
            anygrad.sparsity(np.eye(3)),
            ValueError,
            r"sparsity has the shape \(3, 3\), but \(f\(x\).size, 4\) was expected",
        ),
        (np.ones(4), ValueError, r"sparsity has the shape \(4,\)"),
        (sp.eye_array(3, 4), ValueError, "sparsity has 3 rows, but f returned 4 elements"),
    ],
)
def test_a_pattern_that_does_not_fit_is_refused(sparsity, error, message):
    with pytest.raises(error, match=message):
        anygrad.jacobian(lambda x: x, np.ones(4), sparsity=sparsity)


def test_an_x_that_is_sparse_and_trees_are_refused():
    for x, numbers in [(sp.csr_array(np.eye(2)), r"data"), (sp.dok_array(np.eye(2)), r"tocsr\(\)\.data")]:
        with pytest.raises(TypeError, match=rf"x is a \w+_array, but an array was expected: write x\.{numbers}, its"):
            anygrad.jacobian(lambda x: x, x)
    with pytest.raises(
        TypeError, match=r"x consists of x\['a'\], but with sparsity= it must be one array: concatenate"
    ):
        anygrad.jacobian(lambda x: x["a"], {"a": np.ones(2)}, sparsity=np.eye(2))
    for sparsity in (np.eye(2), "detect"):
        with pytest.raises(
            TypeError, match="f returned a tree, but with sparsity= it must return one array: concatenate"
        ):
            anygrad.jacobian(lambda x: (x,), np.ones(2), sparsity=sparsity)


@pytest.mark.libraries(lambda lib: lib.lazy)
def test_nothing_is_detected_in_lazy_arrays(lib):
    with pytest.raises(TypeError, match="lazy or traced array without known values: give a pattern"):
        anygrad.jacobian(lambda x: x, lib.asarray(np.ones(2), "float32"), sparsity="detect")


def test_what_is_not_installed_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "scipy.sparse", None)
    with pytest.raises(ImportError, match=r"SciPy, which is not installed: pip install scipy"):
        anygrad.jacobian(lambda x: x, np.ones(2), sparsity=np.eye(2))


@pytest.mark.parametrize(
    ("f", "x"),
    [
        (lambda x: np.stack([np.log(x[0] - 5), x[1] ** 2]), [1.0, 2.0]),
        (lambda x: x**2, [1.0, np.nan, 3.0]),
        (lambda x: np.stack([x[0], np.inf, x[0] * x[1]]), [1.0, 2.0]),
    ],
)
def test_what_is_no_number_is_no_zero_that_was_detected(f, x):
    with np.errstate(all="ignore"):
        found = anygrad.jacobian(f, np.array(x), sparsity="detect").toarray()
        assert np.array_equal(found, anygrad.jacobian(f, np.array(x)), equal_nan=True)
        assert np.isnan(found).any(axis=1).tolist() == [not np.isfinite(value) for value in f(np.array(x))]


# --- patterns that are made once ----------------------------------------------------------------------------------


def tridiagonal(n):
    return sp.diags_array([np.ones(n - 1), np.ones(n), np.ones(n - 1)], offsets=[-1, 0, 1])


def shuffled(pattern, seed=0):
    order = np.random.default_rng(seed).permutation(pattern.shape[0])
    return sp.csr_array(pattern)[order][:, order]


def tree(n):
    """An entry for each node of a binary tree, and one for its parent."""
    nodes = np.arange(1, n)
    rows, columns = np.concatenate([nodes, nodes]), np.concatenate([nodes, (nodes - 1) // 2])
    return sp.coo_array((np.ones(rows.size), (rows, columns)), shape=(n, n))


@pytest.mark.parametrize(
    ("pattern", "count"),
    [
        (shuffled(tridiagonal(10_000)), 3),
        (shuffled(sp.block_diag([np.ones((4, 4))] * 100)), 4),
        (shuffled(tree(1000)), 2),
        (np.ones((3, 50)), 50),
        (np.zeros((3, 50)), 0),
    ],
    ids=["tridiagonal", "blocks", "tree", "full", "empty"],
)
def test_columns_are_in_as_few_groups_as_there_can_be(pattern, count):
    made = anygrad.sparsity(pattern)
    assert f"columns in {count} groups" in repr(made)
    for row in range(0, pattern.shape[0], 97):
        groups = made.groups[made.columns[made.rows == row]]
        assert len(set(groups.tolist())) == len(groups)


def test_a_pattern_that_is_made_once_serves_many_calls(lib):
    x = lib.asarray(np.linspace(1, 2, 20), "float32")
    pattern = anygrad.sparsity(np.eye(20) + np.eye(20, k=1))
    for sparsity in (pattern, pickle.loads(pickle.dumps(pattern))):
        found = anygrad.jacobian(lambda x: x**2, x, sparsity=sparsity, full_output=True)
        expected = anygrad.jacobian(lambda x: x**2, x, sparsity=np.eye(20) + np.eye(20, k=1), full_output=True)
        assert found.ncalls == expected.ncalls
        assert np.array_equal(dense(lib, found.value), dense(lib, expected.value))


def test_what_is_no_pattern():
    with pytest.raises(ValueError, match=r"sparsity has the shape \(3,\), but .*: a row"):
        anygrad.sparsity(np.ones(3))
    with pytest.raises(TypeError, match="sparsity is 'detect', but a SciPy sparse array"):
        anygrad.sparsity("detect")
