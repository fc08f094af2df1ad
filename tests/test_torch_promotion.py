"""f in a wider dtype than its own tensors are in, on PyTorch: what it has of its own is widened with x."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, nullcontext

import numpy as np
import pytest

import anygrad
from anygrad import check_gradient

pytestmark = pytest.mark.libraries(lambda lib: lib.name.startswith("torch"))

ROW = np.array([0.5, -1.25, 2.0, 3.0])


@pytest.fixture
def torch(lib):
    import torch

    return torch


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
    report = check_gradient(f, grad, x)
    assert report.verdict == "agrees", report
    assert "float64" in remarks(report)
    wrong = check_gradient(f, lambda x: grad(x) * (1 + 400 * torch.finfo(x.dtype).eps), x)
    assert wrong.verdict == "wrong", wrong
    assert [lib.bits(parameter.detach()) for parameter in network.parameters()] == before


def test_by_its_parameters(lib, torch):
    """Their gradients are those of loss.backward(), in float32, and certain to better than its roundings."""
    network = torch.nn.Linear(4, 3, device=lib.device)
    inputs = lib.asarray(np.stack([ROW, ROW[::-1], ROW**2]), "float32")
    x = {name: parameter.detach() for name, parameter in network.named_parameters()}

    def f(p):
        return (torch.func.functional_call(network, p, (inputs,)) ** 2).mean()

    right = torch.func.grad(f)(x)
    assert check_gradient(f, right, x).verdict == "agrees"
    assert check_gradient(f, {**right, "bias": right["bias"] * 1.0001}, x).verdict == "wrong"


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


def test_outside_of_f_nothing_is_widened(lib, torch):
    x = lib.asarray(ROW, "float64")
    promoting = anygrad.backends.resolve(x).promoting(lambda x: 1 / 0, x)
    with pytest.raises(ZeroDivisionError):
        promoting(x)
    assert torch.zeros(1).half().dtype == torch.float16


def test_an_f_that_differentiates_by_its_own_tensors(lib, torch):
    """They are the ones that autograd knows, not copies of them."""
    power = torch.tensor(3.0, device=lib.device, requires_grad=True)

    def f(x):
        return torch.autograd.grad((x**2).sum() * power, power)[0]

    x = lib.asarray(ROW, "float32")
    assert check_gradient(f, lambda x: 2 * x, x).verdict == "agrees"
    assert check_gradient(f, lambda x: 4 * x, x).verdict == "wrong"


def test_an_f_that_writes_what_is_its_own(lib, torch):
    """What is rounded in it is recognised: f is asked in x's dtype."""
    workspace = torch.zeros(4, device=lib.device)

    def f(x):
        workspace[:2] = x[:2]
        workspace[2:].copy_(x[2:])
        return (workspace**2).sum()

    x = lib.asarray(ROW, "float32")
    report = check_gradient(f, lambda x: 2 * x, x)
    assert (report.verdict, report.remarks) == ("agrees", ())
    assert check_gradient(f, lambda x: 4 * x, x).verdict == "wrong"


def by_vmap():
    return nullcontext(anygrad.Vmap())


@contextmanager
def by_threads():
    with ThreadPoolExecutor(2) as executor:
        yield anygrad.Pool(executor)


@pytest.mark.parametrize("evaluated", [by_vmap, by_threads])
def test_where_f_is_evaluated_elsewhere(lib, evaluated):
    weight = lib.asarray(np.outer(ROW, ROW), "float32")

    def f(x):
        return (weight @ x).pow(2).sum()

    with evaluated() as evaluator:
        x = lib.asarray(ROW, "float32")
        report = check_gradient(f, lambda x: 2 * weight.T @ (weight @ x), x, evaluator=evaluator)
    assert report.verdict == "agrees", report
    assert "float64" in remarks(report)
