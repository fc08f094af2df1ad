"""What only PyTorch has: tensors that require grad, layouts that hide memory, modes, and numbers that are widened."""

from __future__ import annotations

import gc
import pickle
import subprocess
import sys
import textwrap
import threading
import weakref
from concurrent.futures import Executor, Future, ThreadPoolExecutor
from contextlib import nullcontext

import numpy as np
import pytest
from layouts import LAYOUTS
from problems import PROBLEMS

import anygrad

pytestmark = pytest.mark.libraries(lambda lib: lib.name.startswith("torch"))


@pytest.fixture
def torch(lib):
    import torch

    return torch


@pytest.fixture
def leaf(lib):
    return lib.asarray(np.array([1.0, 2.0, 3.0]), "float64").requires_grad_()


def test_a_leaf_that_requires_grad_is_left_as_it_was(lib, torch, leaf):
    gradient = anygrad.numerical_gradient(lambda x: (x**3).sum(), leaf)
    assert np.allclose(lib.numpy(gradient), [3, 12, 27], atol=1e-6)
    assert not gradient.requires_grad
    assert leaf.grad is None
    assert leaf.is_leaf


def test_a_module_is_no_array_and_what_is_written_instead(lib, torch):
    model = torch.nn.Linear(3, 2, dtype=torch.float64, device=lib.device)
    with pytest.raises(TypeError, match=r"x is a Linear.*write dict\(x\.named_parameters\(\)\), .*functional_call"):
        anygrad.numerical_gradient(lambda _: 0.0, model)
    data = lib.asarray(np.array([[1.0, 2.0, 3.0]]), "float64")

    def loss(params):
        return torch.func.functional_call(model, params, data).sum()

    gradient = anygrad.numerical_gradient(loss, dict(model.named_parameters()))
    assert np.allclose(lib.numpy(gradient["weight"]), [[1, 2, 3]] * 2)


class Saved:
    """A tensor that autograd saves for the backward pass; it lives as long as the graph does."""

    def __init__(self, tensor):
        self.tensor = tensor


def test_no_graph_is_kept(lib, torch, leaf):
    saved = []

    def pack(tensor):
        holder = Saved(tensor)
        saved.append(weakref.ref(holder))
        return holder

    with torch.autograd.graph.saved_tensors_hooks(pack, lambda holder: holder.tensor):
        anygrad.numerical_gradient(lambda x: (x**3).sum(), leaf)
    gc.collect()
    assert len(saved) == 6
    assert not any(reference() for reference in saved)


def test_the_graph_of_an_earlier_loss_survives(torch, leaf):
    """What autograd has saved is x, and x is what it was: backward() must not find it stale."""
    loss = (leaf**2).sum()
    anygrad.numerical_gradient(lambda x: (x**2).sum(), leaf)
    loss.backward()
    assert torch.equal(leaf.grad, 2 * leaf.detach())


@pytest.mark.parametrize("in_place", [True, False])
def test_f_may_use_autograd_with_respect_to_x_itself(lib, torch, leaf, in_place):
    def squared_slope(x):
        (slope,) = torch.autograd.grad((x**3).sum(), x)
        return (slope**2).sum()

    gradient = anygrad.numerical_gradient(squared_slope, leaf, evaluator=anygrad.Loop(in_place=in_place))
    assert np.allclose(lib.numpy(gradient), 36 * np.array([1.0, 2.0, 3.0]) ** 3, rtol=1e-6)


def test_gradients_under_no_grad_and_inference_mode(lib, torch, leaf):
    for mode in (torch.no_grad, torch.inference_mode):
        with mode():
            x = leaf.detach().clone()
            gradient = anygrad.numerical_gradient(lambda x: (x**2).sum(), x)
        assert np.allclose(lib.numpy(gradient), [2, 4, 6])


def test_lazily_conjugated_and_negated_tensors(lib, torch):
    z = lib.asarray(np.array([1 + 2j, 3 - 1j]), "complex128")
    for view in (z.conj(), z.conj().imag):
        values = lib.numpy(view)
        assert np.allclose(lib.numpy(anygrad.numerical_gradient(lambda x: (x**2).sum(), view)), 2 * values)
    assert np.array_equal(lib.numpy(z), [1 + 2j, 3 - 1j])


def test_the_memory_of_a_read_only_array(lib, torch):
    array = np.array([1.0, 2.0])
    tensor = torch.from_numpy(array)
    array.flags.writeable = False
    assert np.allclose(lib.numpy(anygrad.numerical_gradient(lambda x: (x**2).sum(), tensor)), [2, 4])
    assert np.array_equal(array, [1, 2])


def test_tensors_without_dense_memory(lib, torch):
    sparse = lib.asarray(np.eye(2), "float32").to_sparse()
    meta = torch.ones(2, device="meta")
    for x, message in ((sparse, r"sparse_coo tensor.*to_dense"), (meta, "without values")):
        with pytest.raises(TypeError, match=message):
            anygrad.numerical_gradient(lambda x: 0.0, x)
    with pytest.raises(TypeError, match=r"inside torch\.func"):
        torch.func.grad(lambda x: anygrad.numerical_gradient(lambda x: x.sum(), x).sum())(torch.ones(2))


def with_other_memory(x):
    """Give x other memory, as p.data = ..., vector_to_parameters and module.half() do."""
    x.data = x.data.clamp(-10, 10)
    return (x**2).sum()


def test_an_f_that_gives_x_other_memory_is_refused(lib, leaf):
    before, place, calls = lib.bits(leaf), leaf.data_ptr(), iter(range(99))
    for modifying in (with_other_memory, lambda x: with_other_memory(x) if next(calls) > 2 else (x**2).sum()):
        with pytest.raises(ValueError, match="modifies its argument"):
            anygrad.numerical_gradient(modifying, leaf)
        assert (lib.bits(leaf), leaf.data_ptr()) == (before, place)


def test_another_default_device_changes_nothing(lib, torch):
    x = lib.asarray(np.array([1.0, 2.0]), "float64")
    with torch.device("meta"):
        gradient = anygrad.numerical_gradient(lambda x: float((x**2).sum()), x)
        many = anygrad.numerical_gradient(lambda x: (x**2).sum(-1), x, evaluator=anygrad.Batch())
        sparse = anygrad.jacobian(lambda x: x**2, x, sparsity="detect")
    assert np.allclose(lib.numpy(gradient), [2, 4])
    assert np.allclose(lib.numpy(many), [2, 4])
    assert np.allclose(lib.numpy(sparse.to_dense()), np.diag([2, 4]))


@pytest.mark.libraries(lambda lib: lib.name == "torch")  # a device computes with it itself
@pytest.mark.filterwarnings("ignore:ComplexHalf support is experimental")
def test_a_dtype_that_numpy_has_nothing_like(lib, torch):
    with pytest.raises(TypeError, match=r"complex32, which NumPy does not have: pass x\.to\(torch\.complex64\)"):
        anygrad.numerical_gradient(lambda x: x[0], lib.asarray(np.ones(2), "float32").to(torch.complex32))


def test_tied_weights_are_refused_and_parts_of_one_buffer_are_not(lib, torch):
    w = lib.asarray(np.array([[1.0, 2.0]]), "float64")
    with pytest.raises(ValueError, match=r"x\['dec'\] and x\['enc'\] share memory"):
        anygrad.numerical_gradient(lambda p: (p["enc"] @ p["dec"]).sum(), {"enc": w, "dec": w.t()})
    flat = lib.asarray(
        np.array([1.0, 2.0, 3.0, 4.0]), "float64"
    )  # one buffer for all parameters, as optimisers like it
    gradient = anygrad.numerical_gradient(lambda p: p["a"].sum() * p["b"].sum(), {"a": flat[:2], "b": flat[2:]})
    assert np.allclose(lib.numpy(gradient["a"]), [7, 7])
    assert np.allclose(lib.numpy(gradient["b"]), [3, 3])


def test_eight_bit_floats_come_back(lib, torch):
    x = torch.tensor([1.0, -2.0], dtype=torch.float8_e5m2, device=lib.device)
    gradient = anygrad.numerical_gradient(lambda x: x.float().sum(), x)
    assert gradient.dtype == x.dtype
    assert np.allclose(lib.numpy(gradient), 1, atol=0.25)  # the spacing at 1
    assert x.float().tolist() == [1, -2]


@pytest.fixture
def as_on_a_gpu(torch, monkeypatch):
    """Take the way of tensors on a GPU for those on the CPU, as much as can be seen of it without one."""
    monkeypatch.setattr(anygrad.backends.load("torch"), "on_host", lambda x: False)


@pytest.mark.usefixtures("as_on_a_gpu")
@pytest.mark.parametrize("problem", PROBLEMS, ids=str)
def test_gradients_by_the_way_of_the_gpu(lib, problem):
    for name in ("contiguous", "transposed", "strided"):
        x = LAYOUTS[name](lib, problem.x, "float32").requires_grad_()
        before = lib.bits(x)
        result = anygrad.numerical_gradient(problem.on(lib), x, full_output=True)
        bound = problem.bound(lib.numpy(result.step), np.finfo(np.float32).eps)
        assert np.all(np.abs(lib.numpy(result.value) - problem.gradient(problem.x)) <= bound)
        assert (result.value.dtype, result.value.requires_grad) == (x.dtype, False)
        assert lib.bits(x) == before


@pytest.mark.usefixtures("as_on_a_gpu")
def test_complex_numbers_by_the_way_of_the_gpu(lib, complex_dtype):
    z = lib.asarray(np.array([1 + 2j, np.inf - 1j]), complex_dtype)
    before = lib.bits(z)
    holomorphic = anygrad.numerical_gradient(lambda z: z[0] ** 2, z)
    real = anygrad.numerical_gradient(lambda z: z[0].abs() ** 2, z)
    assert np.allclose(lib.numpy(holomorphic), [2 + 4j, 0], atol=0.1)
    assert np.allclose(lib.numpy(real), [2 + 4j, 0], atol=0.1)
    assert lib.bits(z) == before


@pytest.mark.usefixtures("as_on_a_gpu")
def test_views_and_exceptions_by_the_way_of_the_gpu(lib):
    x = lib.asarray(np.array([1.0, 2.0]), "float32")
    assert np.allclose(lib.numpy(anygrad.numerical_gradient(lambda x: x[1], x)), [0, 1], atol=1e-3)
    with pytest.raises(IndexError):
        anygrad.numerical_gradient(lambda x: x[2], x)
    for modifying in (lambda x: x.mul_(2).sum(), with_other_memory):
        with pytest.raises(ValueError, match="modifies its argument"):
            anygrad.numerical_gradient(modifying, x)
    assert x.tolist() == [1, 2]


class Elsewhere(Executor):
    """Runs what it is given in threads that have it from bytes alone, as processes do."""

    _max_workers = 1

    def submit(self, fn, /, *args):
        sent, future = pickle.dumps((fn, args)), Future()

        def run():
            fn, args = pickle.loads(sent)
            future.set_result(pickle.loads(pickle.dumps(fn(*args))))

        thread = threading.Thread(target=run)
        thread.start()
        thread.join()
        return future


MODES = {
    "none": lambda torch: nullcontext(),
    "no_grad": lambda torch: torch.no_grad(),
    "inference_mode": lambda torch: torch.inference_mode(),
    "autocast to float16": lambda torch: torch.autocast("cpu", dtype=torch.float16),
}


@pytest.mark.libraries(lambda lib: lib.name == "torch")
@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("own", [True, False], ids=["of x", "of NumPy's x"])
@pytest.mark.parametrize("executor", [lambda: ThreadPoolExecutor(2), Elsewhere], ids=["threads", "elsewhere"])
def test_f_runs_in_a_pool_under_the_callers_modes(lib, torch, mode, own, executor):
    """The modes are kept for each thread. f returns them times x, and so they are the gradient."""
    x = np.array([1.0, 2.0])

    def f(x):
        import torch

        flags = torch.is_grad_enabled(), torch.is_inference_mode_enabled(), torch.is_autocast_enabled("cpu")
        cast = str(torch.get_autocast_dtype("cpu")) if flags[2] else ""
        return float(x[0]) * (1 + sum(2**i for i, flag in enumerate(flags) if flag)) + float(x[1]) * len(cast)

    with MODES[mode](torch), executor() as workers:
        given = lib.asarray(x, "float64") if own else x
        expected = anygrad.numerical_gradient(f, given)
        found = anygrad.numerical_gradient(f, given, evaluator=anygrad.Pool(workers))
    assert np.array_equal(lib.numpy(found), lib.numpy(expected))


# SIGALRM ends a process that waits for ever, so that what fails here fails, and leaves none behind.
FORKED = """
    import multiprocessing, signal
    from concurrent.futures import ProcessPoolExecutor
    import numpy as np, torch, anygrad
    torch.set_num_threads(2)
    a = torch.ones(600, 600)
    def f(x):
        signal.alarm(30)
        value = (torch.exp(a) @ a).mean().item() * float(x.sum())
        signal.alarm(0)
        return value
    x = np.ones(2)
    expected = anygrad.numerical_gradient(f, x)  # which starts the threads
    fork = multiprocessing.get_context("fork")
    with ProcessPoolExecutor(2, mp_context=fork) as executor, fork.Pool(2) as pool:
        for workers in (executor, pool.map):
            for given in (torch.from_numpy(x), x):
                found = anygrad.numerical_gradient(f, given, evaluator=anygrad.Pool(workers, retries=0))
                print(np.allclose(found, expected))
    """


@pytest.mark.libraries(lambda lib: lib.name == "torch")
def test_forked_processes_do_without_the_threads_that_were_left_behind(lib):
    run = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(FORKED)], capture_output=True, text=True, check=False, timeout=300
    )
    assert run.stdout.split() == ["True"] * 4, run.stderr


# --- f in a wider dtype than its own tensors are in: these are widened with x --------------------------------------

ROW = np.array([0.5, -1.25, 2.0, 3.0])


def remarks(report):
    return " ".join(report.remarks)


@pytest.mark.parametrize("narrow", ["float32", "float16", "bfloat16"])
def test_a_network_is_asked_in_float64(lib, torch, narrow):
    torch.manual_seed(0)
    own = {"dtype": getattr(torch, narrow)}
    network = torch.nn.Sequential(
        torch.nn.Linear(4, 5, **own), torch.nn.Tanh(), torch.nn.LayerNorm(5, **own), torch.nn.Linear(5, 3, **own)
    ).to(lib.device)  # whose random numbers are others
    targets = torch.tensor([2, 0], device=lib.device)

    def f(x):
        return torch.nn.functional.cross_entropy(network(x), targets)

    def grad(x):
        x = x.detach().requires_grad_()
        return torch.autograd.grad(f(x), x)[0]

    before = [lib.bits(parameter.detach()) for parameter in network.parameters()]
    x = lib.asarray(np.stack([ROW, ROW[::-1]]), narrow)
    report = anygrad.check_gradient(f, grad, x)
    assert report.verdict == "agrees", report
    assert "float64" in remarks(report)
    wrong = anygrad.check_gradient(f, lambda x: grad(x) * (1 + 400 * torch.finfo(x.dtype).eps), x)
    assert wrong.verdict == "wrong", wrong
    assert [lib.bits(parameter.detach()) for parameter in network.parameters()] == before


def in_a_buffer(torch, x):
    buffer = torch.zeros(4, device=x.device)
    buffer[0] = x[0]
    buffer[1:].copy_(x[1:])
    buffer += x
    return buffer.mul_(x).sum()


CASES = {
    "casts by name": (lambda torch, x: (x.float() + x.half() + x.bfloat16()).sum(), lambda x: 3 * x.sum()),
    "casts to dtypes": (
        lambda torch, x: x.to(torch.float16).sum(dtype=torch.float32) + x.type(torch.bfloat16).sum(),
        lambda x: 2 * x.sum(),
    ),
    "lists": (
        lambda torch, x: torch.cat([x, torch.ones(1, device=x.device)]) @ torch.stack([x[0], *x]),
        lambda x: np.append(x, 1.0) @ np.append(x[0], x),
    ),
    "complex": (
        lambda torch, x: torch.abs(torch.complex(x, torch.zeros(4, device=x.device)).cfloat() * torch.tensor(1j)).sum(),
        lambda x: np.abs(x).sum(),
    ),
    "a buffer": (in_a_buffer, lambda x: (2 * x * x).sum()),
}


@pytest.mark.parametrize("function", CASES)
def test_no_digit_is_lost_on_the_way(lib, torch, function):
    f, exact = CASES[function]
    x = lib.asarray(ROW + 1e-9, "float64")
    promoting = anygrad.backends.resolve(x).promoting(lambda x: f(torch, x), x)
    assert float(promoting(x)) == pytest.approx(exact(ROW + 1e-9), rel=1e-14)


def test_an_f_that_writes_what_is_its_own(lib, torch):
    """What is rounded in it is recognised: f is asked in x's dtype."""
    workspace = torch.zeros(4, device=lib.device)

    def f(x):
        workspace[:2] = x[:2]
        workspace[2:].copy_(x[2:])
        return (workspace**2).sum()

    x = lib.asarray(ROW, "float32")
    report = anygrad.check_gradient(f, lambda x: 2 * x, x)
    assert (report.verdict, report.remarks) == ("agrees", ())
    assert anygrad.check_gradient(f, lambda x: 4 * x, x).verdict == "wrong"


@pytest.mark.parametrize("evaluator", [anygrad.Vmap, lambda: anygrad.Pool(ThreadPoolExecutor(2))], ids=["Vmap", "Pool"])
def test_numbers_are_widened_where_f_is_evaluated_elsewhere(lib, evaluator):
    weight, x = lib.asarray(np.outer(ROW, ROW), "float32"), lib.asarray(ROW, "float32")
    report = anygrad.check_gradient(
        lambda x: (weight @ x).pow(2).sum(), lambda x: 2 * weight.T @ (weight @ x), x, evaluator=evaluator()
    )
    assert report.verdict == "agrees", report
    assert "float64" in remarks(report)
