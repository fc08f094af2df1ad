"""Black boxes for autograd of PyTorch."""

from __future__ import annotations

import doctest
import gc
import importlib
import math
import pickle
import weakref
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

import anygrad

pytestmark = [
    pytest.mark.libraries(lambda lib: lib.name.startswith("torch")),
    # PyTorch's own forward mode compiles its rules by what it has deprecated.
    pytest.mark.filterwarnings(r"ignore:`torch\.jit:DeprecationWarning"),
]


@pytest.fixture
def torch(lib):
    import torch

    return torch


@pytest.fixture
def x(lib):
    return lib.asarray(np.array([[0.3, -1.0, 2.0], [0.0, 0.5, 1.5]]), "float64").requires_grad_()


@pytest.fixture
def a(lib):
    return lib.asarray(np.array(1.5), "float64").requires_grad_()


class Counted:
    """A function of NumPy arrays, given tensors, that keeps what it was called with."""

    def __init__(self, f):
        self.f = f
        self.calls = []

    def __call__(self, *tensors):
        self.calls.append(tensors)
        return self.f(*(tensor.cpu().numpy() for tensor in tensors))


def waves(x, a):
    """A number; its gradients are a² cos x and 2a Σ sin x."""
    return float(np.sin(x).sum()) * float(a) ** 2


def outer(x, a):
    return np.multiply.outer(np.sin(x), [1.0, float(a), float(a) ** 2])


class TestGradients:
    @pytest.mark.parametrize("f", [waves, outer])
    def test_gradcheck_in_both_modes(self, torch, x, a, f):
        assert torch.autograd.gradcheck(anygrad.torch_function(Counted(f)), (x, a), check_forward_ad=True)

    @pytest.mark.parametrize(
        "f",
        [
            lambda z: (z**2).cpu().numpy(),
            lambda z: (z.abs() ** 3).sum(),
            lambda z: z.conj() * z**2 * (1 + 2j),
            lambda z: np.exp(1j * z.real.cpu().numpy()),
        ],
        ids=["holomorphic", "real", "neither", "of the real part"],
    )
    def test_gradcheck_of_complex_numbers(self, lib, torch, f):
        z = lib.asarray(np.array([1 + 2j, -0.5j, 3 - 1j]), "complex128").requires_grad_()
        assert torch.autograd.gradcheck(anygrad.torch_function(f), (z,))

    def test_dtypes(self, lib, torch, dtype):
        x = lib.asarray(np.array([0.5, 1.0, 2.0]), dtype).requires_grad_()
        value = anygrad.torch_function(lambda x: float((x.double() ** 2).sum()))(x)
        value.backward()
        assert value.dtype == x.grad.dtype == x.dtype
        rough = max(torch.finfo(x.dtype).eps * 8, 1e-9)
        assert np.allclose(lib.numpy(x.grad), [1, 2, 4], rtol=rough)

    @pytest.mark.parametrize(
        ("scheme", "evaluator"),
        [
            (anygrad.Adaptive(), anygrad.Loop()),
            (anygrad.Central(order=4), anygrad.Pool(ThreadPoolExecutor(2))),
            (anygrad.Forward(order=2), anygrad.Vmap()),
            (anygrad.Complex(), anygrad.Loop(in_place=False)),
        ],
        ids=["in place", "threads", "vmap", "copies"],
    )
    def test_schemes_and_evaluators(self, torch, x, a, scheme, evaluator):
        f = anygrad.torch_function(lambda x, a: torch.sin(x) * a**2, scheme=scheme, evaluator=evaluator)
        assert torch.autograd.gradcheck(f, (x, a))

    def test_a_batch(self, torch, x, a):
        """All tensors have the leading axis, those that are not differentiated by as well."""

        def f(x, a):
            assert x.shape[0] == a.shape[0]
            return (torch.sin(x) * a[:, None, None] ** 2).sum(dim=-1)

        f = anygrad.torch_function(f, evaluator=anygrad.Batch())
        assert f(x, a).shape == (2,)
        assert torch.autograd.gradcheck(f, (x, a))
        assert torch.autograd.gradcheck(f, (x, a.detach()))


class TestCallsOfF:
    @pytest.mark.parametrize("f", [waves, outer])
    def test_one_forwards_two_for_each_element_backwards_and_two_in_forward_mode(self, torch, x, a, f):
        f = Counted(f)
        value = anygrad.torch_function(f)(x, a).sum()
        assert len(f.calls) == 1
        (0 * value + x.sum()).backward(retain_graph=True)  # nothing depends on f
        assert len(f.calls) == 1
        value.backward()
        assert len(f.calls) == 1 + 2 * (x.numel() + 1)
        f.calls.clear()
        ones = torch.ones_like(x), torch.ones_like(a)
        torch.func.jvp(anygrad.torch_function(f), (x.detach(), a.detach()), ones)
        assert len(f.calls) == 1 + 2


class TestWhatFIsGiven:
    def test_tensors_that_keep_no_graph(self, torch, x):
        def f(x):
            assert not x.requires_grad
            assert not torch.is_grad_enabled()
            saved.append(weakref.ref(x))
            return x.sum()

        saved = []
        value = anygrad.torch_function(f)(x)
        gc.collect()
        assert saved[0]() is None
        value.backward()

    def test_inputs_are_let_go_after_the_backward_pass(self, torch, x):
        y = 2 * x
        value = anygrad.torch_function(lambda box: box["y"].sum().item())({"y": y})
        value.backward()
        reference = weakref.ref(y)
        del y
        gc.collect()
        assert reference() is None
        assert value.grad_fn is not None

    def test_all_else_as_it_is(self, x):
        marker, settings = object(), {"steps": [1, None, "two"]}

        def f(x, marker_, settings_, *, mode):
            assert marker_ is marker
            assert settings_ == settings
            assert mode == "fast"
            return x.sum().item()

        anygrad.torch_function(f)(x, marker, settings, mode="fast").backward()
        assert x.grad.flatten().tolist() == pytest.approx([1] * 6)

    def test_trees_and_keywords(self, torch, x, a):
        def f(params, *, scale):
            return params["x"].sum().item() * params["rest"][0].item() * scale.item()

        scale = a.detach().clone().requires_grad_()
        anygrad.torch_function(f)({"x": x, "rest": (a, "text", None)}, scale=scale).backward()
        total = x.detach().sum()
        assert torch.allclose(x.grad, torch.full_like(x, 2.25), atol=1e-8)
        assert torch.allclose(a.grad, total * 1.5, atol=1e-8)
        assert torch.allclose(scale.grad, total * 1.5, atol=1e-8)


BUFFER = {}


class TestWhatFReturns:
    @pytest.mark.parametrize(
        "returned",
        [2, np.float32(2.5), np.arange(6.0)[::-2], [1.0, 2.0], True],
        ids=repr,
    )
    def test_numbers_become_tensors_like_those_given(self, lib, torch, x, returned):
        for dtype in (torch.float32, torch.float64):
            value = anygrad.torch_function(lambda x: returned)(x.to(dtype))
            assert (value.dtype, value.device) == (dtype, x.device)
            assert np.array_equal(lib.numpy(value), np.asarray(returned, dtype=float))

    @pytest.mark.parametrize(
        "f", [lambda x: x[0], lambda x: BUFFER.setdefault(x.device, x.clone()).copy_(x)[0]], ids=["a view", "a buffer"]
    )
    def test_tensors_that_f_keeps_or_was_given_are_copied(self, torch, x, f):
        value = anygrad.torch_function(f)(x)
        value.sum().backward()
        assert torch.equal(value, x.detach()[0])
        assert value.data_ptr() != x.data_ptr()
        assert x.grad.flatten().tolist() == pytest.approx([1, 1, 1, 0, 0, 0])

    @pytest.mark.parametrize(
        ("returned", "message"),
        [
            (lambda torch: None, "f returned None.*return statement"),
            (lambda torch: {"loss": 1.0}, "f returned a dict"),
            (lambda torch: torch.tensor(3), r"dtype torch\.int64.*y\.to\(x\.dtype\)"),
        ],
        ids=["None", "a dict", "integers in a tensor"],
    )
    def test_no_numbers(self, torch, x, returned, message):
        with pytest.raises(TypeError, match=message):
            anygrad.torch_function(lambda x: returned(torch))(x)

    def test_other_shapes_at_other_points(self, x):
        shapes = iter([2, 3])
        value = anygrad.torch_function(lambda x: np.zeros(next(shapes)))(x)
        with pytest.raises(ValueError, match=r"shape \(3,\) at one point and of shape \(2,\) at another"):
            value.sum().backward()


class TestXComesBack:
    @pytest.mark.parametrize("in_place", [True, False])
    def test_when_f_raises(self, lib, x, in_place):
        before, version = lib.bits(x), x._version
        calls = iter(range(99))

        def f(x):
            if next(calls) == 4:
                raise ArithmeticError("no convergence")
            return x.sum().item()

        value = anygrad.torch_function(f, evaluator=anygrad.Loop(in_place=in_place))(x)
        with pytest.raises(ArithmeticError, match="no convergence"):
            value.backward()
        assert (lib.bits(x), x._version) == (before, version)
        assert x.grad is None

    @pytest.mark.parametrize("in_place", [True, False])
    def test_what_autograd_has_saved_is_not_stale(self, lib, torch, x, in_place):
        before = lib.bits(x)
        f = anygrad.torch_function(lambda x: (x**2).sum().item(), evaluator=anygrad.Loop(in_place=in_place))
        (f(x) + (x**3).sum()).backward()
        assert lib.bits(x) == before
        assert torch.allclose(x.grad, 2 * x.detach() + 3 * x.detach() ** 2, atol=1e-8)

    def test_no_warning_if_only_what_is_asked_for_is_constant(self, torch, x):
        """As a row of a Jacobian is, or the sum of probabilities."""
        value = anygrad.torch_function(lambda x: np.array([1.0, x.sum().item()]))(x)
        value[0].backward()
        assert not x.grad.any()
        anygrad.torch_function(lambda x: torch.softmax(x, dim=1))(x).sum().backward()
        assert torch.allclose(x.grad, torch.zeros_like(x), atol=1e-9)

    def test_a_closure(self, torch, x):
        """In place, an f that ignores its argument is differentiated all the same; given copies, there is a warning."""
        held = x.detach()

        def f(_):
            return (held**2).sum().item()

        anygrad.torch_function(f, evaluator=anygrad.Loop(in_place=True))(x).backward()
        assert torch.allclose(x.grad, 2 * held, atol=1e-8)
        with pytest.warns(anygrad.ConstantFunctionWarning, match="f returned the same value"):
            anygrad.torch_function(f)(x).backward()


class TestSecondDerivativesAreRefused:
    def test_by_x(self, torch, x, a):
        value = anygrad.torch_function(Counted(waves))(x, a)
        (slope,) = torch.autograd.grad(value, x, create_graph=True)
        with pytest.raises(NotImplementedError, match=r"differentiated only once.*anygrad\.hvp"):
            (slope.sum() + x.sum()).backward()  # and not left out in silence

    def test_in_forward_mode(self, torch, x, a):
        f = anygrad.torch_function(Counted(waves))
        for transform in (torch.func.hessian, lambda f: torch.func.jacfwd(torch.func.jacfwd(f))):
            with pytest.raises(NotImplementedError, match="differentiated only once"):
                transform(f)(x.detach(), a.detach())


class TestTorchFunc:
    def test_vmap_goes_from_point_to_point(self, torch, x, a):
        f = Counted(waves)
        x, a = x.detach(), a.detach()
        over_columns = torch.func.vmap(anygrad.torch_function(f), in_dims=(1, None))(x, a)
        assert torch.allclose(over_columns, a**2 * torch.sin(x).sum(dim=0))
        assert [call[0].shape for call in f.calls] == [(2,)] * 3

    def test_jacobians_in_both_modes(self, torch, x, a):
        x, a = x.detach(), a.detach()
        exact = torch.func.jacrev(lambda x: torch.sin(x)[..., None] * torch.stack([torch.ones_like(a), a, a**2]))(x)
        f = anygrad.torch_function(Counted(outer))
        for transform in (torch.func.jacrev, torch.func.jacfwd):
            assert torch.allclose(transform(f)(x, a), exact, atol=1e-9)


class TestBounds:
    def test_f_is_not_evaluated_outside(self, lib, torch, a):
        x = lib.asarray(np.array([0.0, 1.0, 2.0]), "float64").requires_grad_()

        def f(x, a):
            assert x.max() <= 2
            assert x.min() >= 0
            assert a <= 1.5
            return ((x - 1) ** 2).sum().item() * a.item()

        anygrad.torch_function(f, bounds=((0.0, None), (2.0, 1.5)))(x, a).backward()
        assert torch.allclose(x.grad, 3 * (x.detach() - 1), atol=1e-6)
        assert torch.allclose(a.grad, torch.full_like(a, 2.0), atol=1e-6)

    def test_one_too_few(self, x, a):
        value = anygrad.torch_function(Counted(waves), bounds=((0.0,), None))(x, a)
        with pytest.raises(ValueError, match="the number of arrays among the arguments is 2"):
            value.backward()


def cubes(x):
    return (x**3).sum().item()


def test_it_can_be_pickled(torch, x):
    again = pickle.loads(pickle.dumps(anygrad.torch_function(cubes, scheme=anygrad.Central(order=4))))
    again(x).backward()
    assert torch.allclose(x.grad, 3 * x.detach() ** 2, atol=1e-9)
    assert repr(again).startswith("anygrad.torch_function(cubes, scheme=Central(order=4")
    assert again.__name__ == "cubes"


@pytest.mark.parametrize(("options", "message"), [({"bounds": 1}, "bounds is 1"), ({"f": 3}, "f comes first")])
def test_a_wrong_option_is_an_error_at_once(lib, options, message):
    with pytest.raises(TypeError, match=message):
        anygrad.torch_function(**{"f": math.sin} | options)


def test_the_docstring(lib):
    module = importlib.import_module("anygrad.interop.torch")
    failed, attempted = doctest.testmod(module, optionflags=doctest.NORMALIZE_WHITESPACE)
    assert attempted
    assert not failed
