"""Array libraries by their names: what is said of them, and arrays made of NumPy's."""

from __future__ import annotations

import os
import subprocess
import sys

import numpy as np
import pytest

from anygrad import backends
from anygrad.backends import libraries

NAMED = pytest.mark.libraries(lambda lib: lib.name in libraries.names())


@NAMED
def test_an_array_comes_back_as_it_was(lib):
    wide = "float64" in lib.real
    for dtype in ("float32", "float64", "complex64", "complex128") if wide else ("float32", "complex64"):
        x = np.arange(6.0).reshape(2, 3).astype(dtype)
        for layout in (x, np.asfortranarray(x), x[:, ::-1], x[0, :1], x[0, 0, ...], x[:0]):
            made = libraries.load(lib.name)(layout)
            backend = backends.resolve(made)
            assert type(made) is type(lib.asarray(x, dtype))
            back = backend.host(made)
            assert (back.dtype, back.shape) == (layout.dtype, layout.shape)
            assert np.array_equal(back, layout)


@NAMED
def test_it_is_a_copy(lib):
    x = np.ones(3, "float32")
    made = libraries.load(lib.name)(x)
    x[:] = 2
    assert np.array_equal(lib.numpy(made), np.ones(3))


@NAMED
def test_a_library_that_is_there_is_described(lib):
    found = libraries.describe(lib.name)
    assert found.name == lib.name
    assert found.obstacle is None
    assert found.version[0].isdigit()
    assert found.array_api > "2021"
    assert found.devices
    assert all(isinstance(device, str) for device in found.devices)


def test_numpy_is_where_it_was_installed():
    found = libraries.describe("numpy")
    assert (found.version, found.devices) == (np.__version__, ("cpu",))


def test_a_library_that_is_not_installed(monkeypatch):
    monkeypatch.setattr(libraries, "find_spec", lambda name: name != "cupy" or None)
    found = libraries.describe("cupy")
    assert (found.version, found.array_api, found.devices) == (None, None, ())
    assert found.obstacle.startswith("not installed: pip install cupy")
    with pytest.raises(ImportError, match=r"^cupy cannot be used here \(not installed: pip install cupy"):
        libraries.load("cupy")


def test_a_name_that_is_none():
    with pytest.raises(ValueError, match="no array library is called 'cubist' here, but one of numpy, cupy, torch"):
        libraries.load("cubist")


def described_in_another_process(tmp_path, name, package):
    """Return what is said of a library in whose place a package stands."""
    (tmp_path / f"{name}.py").write_text(package)
    code = f"from anygrad.backends import libraries; print(libraries.describe({name!r}))"
    path = os.pathsep.join([str(tmp_path), *sys.path])
    run = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, env={**os.environ, "PYTHONPATH": path}
    )
    return run.stdout


def test_a_library_that_is_broken_is_described_all_the_same(tmp_path):
    broken = "raise OSError('libtorch.so: cannot open\\nshared object file')"
    said = described_in_another_process(tmp_path, "torch", broken)
    assert "obstacle='it fails: libtorch.so: cannot open'" in said


def test_cupy_without_a_driver_and_without_a_device(tmp_path):
    """A stand-in for CuPy, as it is where there is no GPU."""
    package = """
import types
class CUDARuntimeError(RuntimeError): pass
def getDeviceCount(): {count}
runtime = types.SimpleNamespace(
    driverGetVersion=lambda: {driver}, getDeviceCount=getDeviceCount, CUDARuntimeError=CUDARuntimeError)
cuda = types.SimpleNamespace(runtime=runtime)
__version__ = "14.2.0"
"""
    for driver, count, reason in (
        (0, "raise CUDARuntimeError('cudaErrorInsufficientDriver')", "no CUDA driver is installed"),
        (13000, "return 0", "no device is found"),
        (13000, "raise CUDARuntimeError('cudaErrorNoDevice: none')", "cudaErrorNoDevice: none"),
    ):
        said = described_in_another_process(tmp_path, "cupy", package.format(driver=driver, count=count))
        assert "version='14.2.0'" in said
        assert f"obstacle='it fails: {reason}'" in said


@pytest.mark.parametrize("name", ["torch", "jax", "cupy", "dpnp", "dask"])
def test_files_in_the_current_folder_are_not_taken_for_libraries(tmp_path, name):
    (tmp_path / f"{name}.py").write_text("print('run')\nraise SystemExit(3)")
    code = f"""
import os, sys
sys.path.insert(0, os.getcwd())  # as the command line does
before = list(sys.path)
from anygrad.backends import libraries
libraries.describe({name!r})
assert sys.path == before
"""
    path = os.pathsep.join(str(place) for place in sys.path if place)
    run = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        check=False,
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": path},
    )
    assert (run.stdout, run.returncode) == ("", 0), run.stderr


@pytest.mark.parametrize("program", ["raise SystemExit(3)", "__spec__ = None", "numbers = []"])
def test_a_program_that_has_the_name_of_a_library_is_described(tmp_path, program):
    said = described_in_another_process(tmp_path, "torch", program)
    assert "version=None" in said
    assert "obstacle='it " in said or 'obstacle="it ' in said
