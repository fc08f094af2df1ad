"""What only one library has, or what is said of it: Dask, dpnp, array-api-strict, and arrays on any device."""

from __future__ import annotations

import os
import subprocess
import sys

import numpy as np
import pytest

import anygrad
from anygrad import backends
from anygrad.backends import device, libraries

LAZY = pytest.mark.libraries(lambda lib: lib.lazy)
DPNP = pytest.mark.libraries(lambda lib: lib.name == "dpnp")
ON_A_DEVICE = pytest.mark.libraries(lambda lib: lib.name in {"strict", "dpnp", "cupy", "torch-cuda"})
NAMED = pytest.mark.libraries(lambda lib: lib.name in libraries.names())


# --- Dask: nothing is computed before it is asked for -------------------------------------------------------------


@LAZY
@pytest.mark.parametrize("scheme", [None, anygrad.Central(order=4), anygrad.Forward(), anygrad.Central(step=0.5)])
def test_nothing_lazy_is_computed_before_it_is_asked_for(lib, scheme):
    import dask
    from dask.callbacks import Callback

    computed = []
    with Callback(pretask=lambda key, *_: computed.append(key)), dask.config.set(scheduler="synchronous"):
        x = lib.asarray(np.array([[1.0, 2.0], [3.0, 4.0]]), "float64")
        gradient = anygrad.numerical_gradient(lambda x: lib.xp.sum(x**2), x, scheme=scheme)
        assert not computed
        assert np.allclose(gradient.compute(), 2 * x.compute(), atol=1e-6 if scheme != anygrad.Forward() else 1e-4)
        assert computed


@LAZY
def test_a_function_of_lazy_arrays_may_compute(lib):
    x = lib.asarray(np.array([1.0, 2.0]), "float64")
    gradient = anygrad.numerical_gradient(lambda x: float(lib.xp.sum(x**2).compute()), x)
    assert np.allclose(gradient.compute(), [2, 4])


@LAZY
def test_a_function_of_lazy_arrays_may_assign_to_its_argument(lib):
    x = lib.asarray(np.array([1.0, 2.0, 3.0]), "float64")

    def f(x):
        x[0] = x[0] * 10
        return lib.xp.sum(x)

    gradient = anygrad.numerical_gradient(f, x, scheme=anygrad.Forward())
    assert np.allclose(gradient.compute(), [10, 1, 1], atol=1e-6)
    assert np.array_equal(x.compute(), [1, 2, 3])


@LAZY
def test_a_lazy_array_of_unknown_length_is_refused(lib):
    x = lib.asarray(np.array([1.0, -2.0]), "float64")
    with pytest.raises(ValueError, match="compute_chunk_sizes"):
        anygrad.numerical_gradient(lambda x: 0.0, x[x > 0])
    with pytest.raises(ValueError, match="all lengths must be known"):
        anygrad.multi_indices(x[x > 0])


# --- dpnp: memory that says it is read-only, and powers that lose the imaginary part -------------------------------


@DPNP
def test_read_only_memory_on_a_device(lib):
    x = lib.asarray(np.array([1.0, 2.0]), "float64")
    x.flags.writable = False
    assert np.allclose(lib.numpy(anygrad.numerical_gradient(lambda x: (x**2).sum(), x)), [2, 4])
    with pytest.warns(anygrad.ConstantFunctionWarning):
        anygrad.numerical_gradient(lambda _: (x**2).sum(), x)


@DPNP
def test_the_complex_step_is_exact_without_powers_and_an_error_with_them(lib):
    """The imaginary part of (-1 + ih)**2 is all rounding on dpnp."""
    x = lib.asarray(np.array([-1.0, 0.5]), "float64")
    gradient = anygrad.numerical_gradient(lambda x: (x * x * lib.xp.exp(x)).sum(), x, scheme=anygrad.Complex())
    assert np.allclose(lib.numpy(gradient), [-np.exp(-1), 1.25 * np.exp(0.5)], rtol=1e-15, atol=0)
    with pytest.raises(TypeError, match="imaginary part"):
        anygrad.numerical_gradient(lambda x: (x**2).sum(), x, scheme=anygrad.Complex())


# --- array-api-strict: devices that lack a dtype ------------------------------------------------------------------


@pytest.mark.libraries(lambda lib: lib.name == "strict")
@pytest.mark.parametrize("name", ["no_float64", "no_x64"])
def test_a_device_without_float64(lib, name):
    xp = lib.xp
    x = xp.asarray([1.0, 2.0], dtype=xp.float32, device=xp.Device(name))
    result = anygrad.numerical_gradient(lambda x: xp.sum(x**2), x, full_output=True)
    assert str(result.value.device) == str(x.device)
    assert result.value.dtype == xp.float32
    assert np.allclose([float(result.value[i]) for i in range(2)], [2, 4], rtol=1e-3)


# --- arrays on a device: schemes that look at f's values compute on the host, the same as on the device, ------------
# --- in few transfers

NUMBERS = np.array([0.5, 0.03, -1.25, 2.0])
ADAPTIVE = anygrad.Adaptive()


def waves(lib):
    def f(x):
        return lib.xp.sum(lib.xp.exp(x) * lib.xp.sin(3.0 * x), axis=-1) + lib.xp.abs(x[..., 0] - 0.5)

    return f


def pairs(lib):
    return lambda x: (lib.xp.sin(x), x[..., :2] ** 2)


OPERATORS = {
    "gradient": lambda lib, x: anygrad.numerical_gradient(waves(lib), x, scheme=ADAPTIVE, bounds=(-1.25, None)),
    "gradient of a tree": lambda lib, x: anygrad.numerical_gradient(
        lambda tree: waves(lib)(tree["a"]), {"a": x}, scheme=ADAPTIVE
    )["a"],
    "jacobian": lambda lib, x: anygrad.jacobian(pairs(lib), x, scheme=ADAPTIVE)[0],
    "derivative": lambda lib, x: anygrad.derivative(lambda x: lib.xp.exp(x) + x**3, x, scheme=ADAPTIVE),
    "hessian": lambda lib, x: anygrad.hessian(
        lambda x: lib.xp.sum(lib.xp.exp(x)) * lib.xp.cos(x[0]), x, scheme=ADAPTIVE
    ),
    "jvp": lambda lib, x: anygrad.jvp(pairs(lib), x, lib.xp.ones_like(x), scheme=ADAPTIVE)[0],
}


@ON_A_DEVICE
@pytest.mark.parametrize("operator", OPERATORS)
def test_the_numbers_computed_on_the_host_are_those_of_the_device(lib, monkeypatch, operator):
    if lib.name == "dpnp" and operator != "gradient":
        return  # a thousand operations on the device take it a second
    x = lib.asarray(NUMBERS, "float64")
    before, on_host = lib.bits(x), OPERATORS[operator](lib, x)
    monkeypatch.setattr(device, "HOST_ELEMENTS", -1)
    on_device = OPERATORS[operator](lib, x)
    assert (type(on_host), on_host.dtype, on_host.shape) == (type(on_device), on_device.dtype, on_device.shape)
    assert on_host.device == x.device
    # A device adds up in another order.
    assert lib.numpy(on_host) == pytest.approx(lib.numpy(on_device), rel=1e-11, abs=1e-11)
    assert lib.bits(x) == before


@ON_A_DEVICE
def test_errors_and_flags_are_on_the_device_too(lib):
    x = lib.asarray(NUMBERS, "float64")
    result = anygrad.numerical_gradient(waves(lib), x, scheme=ADAPTIVE, evaluator=anygrad.Batch(), full_output=True)
    for part in (result.value, result.error, result.step, *result.flags.values()):
        assert type(part) is type(x)
        assert part.device == x.device
    assert lib.numpy(result.flags["kink"]).tolist() == [True, False, False, False]
    exact = np.exp(NUMBERS) * (np.sin(3 * NUMBERS) + 3 * np.cos(3 * NUMBERS))
    assert np.all(np.abs(lib.numpy(result.value) - exact)[1:] <= lib.numpy(result.error)[1:])


@ON_A_DEVICE
def test_the_number_of_transfers_does_not_grow_with_that_of_elements(lib, monkeypatch):
    taken, counts = device.DeviceMemory.from_host, []

    def counting(memory, numbers):
        transfers.append(numbers.size)
        return taken(memory, numbers)

    monkeypatch.setattr(device.DeviceMemory, "from_host", counting)
    for n in (5, 50):
        transfers: list[int] = []
        x = lib.asarray(np.linspace(0.9, 1.1, n), "float64")
        anygrad.numerical_gradient(
            lambda x: lib.xp.sum(lib.xp.sin(x), axis=-1), x, scheme=ADAPTIVE, evaluator=anygrad.Batch()
        )
        counts.append(len(transfers))
    assert counts[0] == counts[1] > 0


# --- what is said of a library, and arrays made of NumPy's ----------------------------------------------------------


@NAMED
def test_an_array_made_by_the_name_of_its_library_is_a_copy_that_comes_back_as_it_was(lib):
    kinds = ("float64", "complex128") if "float64" in lib.real else ("float32", "complex64")
    for dtype in kinds:
        x = np.arange(6.0).reshape(2, 3).astype(dtype)
        for layout in (x, np.asfortranarray(x), x[:, ::-1], x[0, 0, ...], x[:0]):
            made = libraries.load(lib.name)(layout)
            assert type(made) is type(lib.asarray(x, dtype))
            back = backends.resolve(made).host(made)
            assert (back.dtype, back.shape) == (layout.dtype, layout.shape)
            assert np.array_equal(back, layout)
    x = np.ones(3, "float32")
    made = libraries.load(lib.name)(x)
    x[:] = 2
    assert np.array_equal(lib.numpy(made), np.ones(3))


@NAMED
def test_a_library_that_is_there_is_described(lib):
    found = libraries.describe(lib.name)
    assert (found.name, found.obstacle) == (lib.name, None)
    assert found.version[0].isdigit()
    assert found.array_api > "2021"
    assert found.devices
    assert all(isinstance(device, str) for device in found.devices)


def described_in_another_process(tmp_path, name, package):
    """Return what is said of a library in whose place a package stands."""
    (tmp_path / f"{name}.py").write_text(package)
    code = f"from anygrad.backends import libraries; print(libraries.describe({name!r}))"
    path = {**os.environ, "PYTHONPATH": os.pathsep.join([str(tmp_path), *sys.path])}
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, env=path).stdout


CUPY = """
import types
class CUDARuntimeError(RuntimeError): pass
def getDeviceCount(): {count}
runtime = types.SimpleNamespace(
    driverGetVersion=lambda: {driver}, getDeviceCount=getDeviceCount, CUDARuntimeError=CUDARuntimeError)
cuda = types.SimpleNamespace(runtime=runtime)
__version__ = "14.2.0"
"""
BROKEN = [
    ("torch", "raise OSError('libtorch.so: cannot open\\nfile')", "libtorch.so: cannot open'"),
    ("torch", "raise SystemExit(3)", "3'"),
    ("torch", "__spec__ = None", ""),
    ("cupy", CUPY.format(driver=0, count="raise CUDARuntimeError()"), "no CUDA driver is installed'"),
    ("cupy", CUPY.format(driver=13000, count="return 0"), "no device is found'"),
    ("cupy", CUPY.format(driver=13000, count="raise CUDARuntimeError('x')"), "x'"),
]


@pytest.mark.parametrize(("name", "package", "obstacle"), BROKEN, ids=[obstacle for _, _, obstacle in BROKEN])
def test_a_library_that_is_broken_is_described_all_the_same(tmp_path, name, package, obstacle):
    said = described_in_another_process(tmp_path, name, package)
    assert f"version={'None' if name == 'torch' else repr('14.2.0')}" in said
    assert f"it fails: {obstacle}" in said


@pytest.mark.parametrize("name", ["cupy", "dask"])
def test_a_file_in_the_current_folder_is_not_taken_for_a_library(tmp_path, name):
    (tmp_path / f"{name}.py").write_text("print('run')\nraise SystemExit(3)")
    code = f"""
import os, sys
sys.path.insert(0, os.getcwd())  # as the command line does
before = list(sys.path)
from anygrad.backends import libraries
libraries.describe({name!r})
assert sys.path == before
"""
    path = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, map(str, sys.path)))}
    command = [sys.executable, "-c", code]
    run = subprocess.run(command, capture_output=True, text=True, check=False, cwd=tmp_path, env=path)
    assert (run.stdout, run.returncode) == ("", 0), run.stderr
