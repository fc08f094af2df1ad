"""Schemes that look at f's values all the time compute on the host: the same as on the device, in few transfers."""

from __future__ import annotations

import numpy as np
import pytest

import anygrad
from anygrad.backends import device, resolve

on_a_device = pytest.mark.libraries(lambda lib: lib.name in {"strict", "dpnp", "cupy", "torch-cuda"})
NUMBERS = np.array([0.5, 0.03, -1.25, 2.0])
BOUNDS = (-1.25, None)


def thorough(param):
    """Return a parameter for all but dpnp, to which a thousand operations on the device take a second."""
    return pytest.param(param, marks=pytest.mark.libraries(lambda lib: lib.name != "dpnp"))


def waves(lib):
    def f(x):
        return lib.xp.sum(lib.xp.exp(x) * lib.xp.sin(3.0 * x), axis=-1) + lib.xp.abs(x[..., 0] - 0.5)

    return f


def smooth_waves(lib):
    return lambda x: lib.xp.sum(lib.xp.exp(x) * lib.xp.sin(3.0 * x), axis=-1) * lib.xp.cos(x[..., 0])


def pairs(lib):
    return lambda x: (lib.xp.sin(x), x[..., :2] ** 2)


OPERATORS = {
    "gradient": lambda lib, x, **options: anygrad.numerical_gradient(waves(lib), x, **options),
    "gradient of rows": lambda lib, x, **options: anygrad.numerical_gradient_2d(
        waves(lib), lib.xp.stack([x, x]), **options
    ),
    "gradient of a tree": lambda lib, x, **options: anygrad.numerical_gradient(
        lambda tree: waves(lib)(tree["a"]), {"a": x}, **options
    )["a"],
    "jacobian": lambda lib, x, **options: anygrad.jacobian(pairs(lib), x, **options)[0],
    "derivative": lambda lib, x, **options: anygrad.derivative(lambda x: lib.xp.exp(x) + x**3, x, **options),
    "hessian": lambda lib, x, **options: anygrad.hessian(smooth_waves(lib), x, **options),
    "jvp": lambda lib, x, **options: anygrad.jvp(pairs(lib), x, lib.xp.ones_like(x), **options)[0],
}


@on_a_device
@pytest.mark.parametrize("operator", ["gradient", *(thorough(name) for name in OPERATORS if name != "gradient")])
@pytest.mark.parametrize("precision", ["float64", thorough("float32")])
def test_the_numbers_are_those_of_the_device(lib, monkeypatch, operator, precision):
    x = lib.asarray(NUMBERS, precision)
    before = lib.bits(x)
    options = {"scheme": anygrad.Adaptive(), **({"bounds": BOUNDS} if operator == "gradient" else {})}
    on_host = OPERATORS[operator](lib, x, **options)
    monkeypatch.setattr(device, "HOST_ELEMENTS", -1)
    on_device = OPERATORS[operator](lib, x, **options)
    assert (type(on_host), on_host.dtype, on_host.shape) == (type(on_device), on_device.dtype, on_device.shape)
    assert on_host.device == x.device
    rounding = 1e-11 if precision == "float64" else 1e-4  # of different orders of adding up on a device
    assert lib.numpy(on_host) == pytest.approx(lib.numpy(on_device), rel=rounding, abs=rounding)
    assert lib.bits(x) == before


@on_a_device
@pytest.mark.parametrize("evaluator", [anygrad.Loop(), anygrad.Batch()])
def test_errors_and_flags_are_on_the_device_too(lib, evaluator):
    x = lib.asarray(NUMBERS, "float64")
    result = anygrad.numerical_gradient(waves(lib), x, scheme=anygrad.Adaptive(), evaluator=evaluator, full_output=True)
    for part in (result.value, result.error, result.step, *result.flags.values()):
        assert type(part) is type(x)
        assert part.device == x.device
    assert lib.numpy(result.flags["kink"]).tolist() == [True, False, False, False]
    exact = np.exp(NUMBERS) * (np.sin(3 * NUMBERS) + 3 * np.cos(3 * NUMBERS))
    assert np.all(np.abs(lib.numpy(result.value) - exact)[1:] <= lib.numpy(result.error)[1:])


@on_a_device
def test_transfers_are_by_level_not_by_element(lib, monkeypatch):
    taken = device.DeviceMemory.from_host

    def counting(memory, numbers):
        transfers.append(numbers.size)
        return taken(memory, numbers)

    monkeypatch.setattr(device.DeviceMemory, "from_host", counting)
    counts = []
    for n in (5, 50):
        transfers: list[int] = []
        x = lib.asarray(np.linspace(0.9, 1.1, n), "float64")
        anygrad.numerical_gradient(
            lambda x: lib.xp.sum(lib.xp.sin(x), axis=-1), x, scheme=anygrad.Adaptive(), evaluator=anygrad.Batch()
        )
        counts.append(len(transfers))
    assert counts[0] == counts[1] > 0


@on_a_device
def test_what_is_large_stays_on_the_device(lib, monkeypatch):
    backend = resolve(lib.asarray(NUMBERS, "float64"))
    memory = backend.memory(lib.asarray(NUMBERS, "float64"), in_place=True)
    assert device.computed_on_host(memory).xp is np
    monkeypatch.setattr(device, "HOST_ELEMENTS", 3)
    assert device.computed_on_host(memory) is memory


def test_what_is_on_the_host_is_computed_with_there():
    memory = resolve(NUMBERS).memory(NUMBERS.copy(), in_place=True)
    assert device.computed_on_host(memory) is memory
