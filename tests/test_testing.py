"""assert_gradient, as the test suites of others use it."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from anygrad.testing import assert_gradient

X = np.array([1.0, 2.0])


def cubes(x):
    return (x**3).sum()


def test_a_wrong_gradient_fails_with_the_report_and_a_right_one_passes():
    assert_gradient(cubes, lambda x: 3 * x**2, X)
    assert_gradient(cubes, lambda x: 3.0001 * x**2, X, rtol=1e-3)
    assert_gradient(lambda x: 2 * x, None, X, jac=2 * np.eye(2), directions=1)
    with pytest.raises(AssertionError, match=r"^Wrong: 1 of 2 elements[\s\S]*x\[1\][\s\S]*Taylor test"):
        assert_gradient(cubes, lambda x: 3 * x**2 + np.array([0.0, 1.0]), X)


def test_a_user_of_pytest_sees_the_report_and_nothing_of_our_code(tmp_path):
    test = tmp_path / "test_theirs.py"
    test.write_text(
        "import numpy as np\n"
        "from anygrad.testing import assert_gradient\n"
        "def test_gradient():\n"
        "    assert_gradient(lambda x: (x**3).sum(), lambda x: 6 * x**2, np.array([1.0, 2.0]))\n"
    )
    run = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", str(test)],
        capture_output=True,
        text=True,
        check=False,
        cwd=tmp_path,
    )
    assert run.returncode == 1
    assert "Wrong: 2 of 2 elements" in run.stdout
    assert "twice the numerical one" in run.stdout
    assert "raise AssertionError" not in run.stdout
    assert "check_gradient" not in run.stdout
    assert str(Path("anygrad", "check")) not in run.stdout


def test_the_module_is_there_when_anygrad_is_imported():
    """So are the other names that are imported when they are asked for; an import of anygrad pays for none of them."""
    code = (
        "import sys, anygrad\n"
        "assert not {'anygrad.testing', 'anygrad.check', 'anygrad.plot', 'anygrad.interop'} & set(sys.modules)\n"
        "assert set(anygrad.__all__) <= set(dir(anygrad))\n"
        "anygrad.testing.assert_gradient(lambda x: x**2, lambda x: 2 * x, 3.0)\n"
        "anygrad.torch_function, anygrad.jax_function\n"
        "assert not {'torch', 'jax'} & set(sys.modules)\n"
    )
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    subprocess.run([sys.executable, "-c", code], check=True, env=environment)
