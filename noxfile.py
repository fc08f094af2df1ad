"""What is tested, one session a backend. Plain ``nox`` runs all that this machine can run."""

from __future__ import annotations

import ctypes
import os
import platform
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import nox

nox.needs_version = ">=2024.10.9"
nox.options.default_venv_backend = "uv|virtualenv"
nox.options.error_on_missing_interpreters = True

PROJECT = nox.project.load_toml("pyproject.toml")
TEST = nox.project.dependency_groups(PROJECT, "test")
LINT = nox.project.dependency_groups(PROJECT, "lint")
DOCS = nox.project.dependency_groups(PROJECT, "docs")
OTHERS = nox.project.dependency_groups(PROJECT, "others")
# Of PyTorch, PyPI's Linux builds bring gigabytes of CUDA; this version is taken without it where pip is told of one.
TORCH = "torch==2.13.0"
# Products of matrices in as many threads as there are cores are in the way of the other processes.
ONE_THREAD = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
# Left by all to the session that installs what the pages import.
PAGES = "tests/test_docs.py"
# Many cases of one thing, of which the oldest versions have not to see all; and what does not depend on them.
BATTERIES = (
    "tests/test_check.py",
    "tests/test_check_wrong.py",
    "tests/test_check_right.py",
    "tests/test_check_wider.py",
    "tests/test_check_cases.py",
    "tests/test_check_kinks.py",
    "tests/test_hints.py",
    "tests/test_battery.py",
    "tests/test_kinds.py",
    "tests/test_rough.py",
    "tests/test_scales.py",
)
OF_OURS_ALONE = ("tests/test_architecture.py", PAGES, "tests/test_journal.py", "tests/test_cli.py")
BENCHMARKS = ("checks", "adaptive", "overhead", "hessians", "memory", "batch", "pool", "others", "sparse", "steps")
EVERYWHERE = [
    "lint",
    "types",
    "numpy",
    "strict",
    "dask",
    "jax",
    "torch",
    "examples",
    "docs",
    "bench",
]


def as_pip_does() -> None:
    """Let uv look for packages where pip is told to. It installs faster, but reads no settings of pip."""
    settings = [sys.executable, "-m", "pip", "config", "get", "global.find-links"]
    told = subprocess.run(settings, capture_output=True, text=True, check=False).stdout.split()  # none, without pip
    places = [*told, *os.environ.get("PIP_FIND_LINKS", "").split()]
    if places:
        os.environ.setdefault("UV_FIND_LINKS", ",".join(dict.fromkeys(places)))


as_pip_does()
# Each session has several processes, of which one compiles a module for all.
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)


def cuda_driver() -> ctypes.CDLL:
    """Return the CUDA driver's library; raise OSError if none is installed."""
    return ctypes.CDLL("nvcuda.dll" if sys.platform == "win32" else "libcuda.so.1")


def no_cuda() -> str | None:
    """Return why there is no CUDA device, or None if there is one."""
    try:
        driver = cuda_driver()
    except OSError:
        return "no CUDA driver is installed"
    count = ctypes.c_int()
    if driver.cuInit(0) or driver.cuDeviceGetCount(ctypes.byref(count)) or not count.value:
        return "the CUDA driver finds no device"
    return None


def no_dpnp() -> str | None:
    """Return why dpnp cannot be installed, or None if it can."""
    if sys.platform in {"linux", "win32"} and platform.machine().lower() in {"x86_64", "amd64"}:
        return None
    return f"there are no wheels for {sys.platform} on {platform.machine()}"


def no_engines() -> str | None:
    """Return why processes cannot be started, looked for and killed as the tests do, or None if they can."""
    return None if sys.platform == "linux" else "it is for Linux"


def no_minimums() -> str | None:
    """Return why the oldest versions cannot be installed, or None if they can."""
    return None if sys.version_info < (3, 13) else "the oldest NumPy and SciPy have no wheels for this Python"


def possible() -> list[str]:
    """Return the sessions for this machine, and say which are left out."""
    sessions = list(EVERYWHERE)
    obstacles = {"cupy": no_cuda(), "dpnp": no_dpnp(), "engines": no_engines(), "minimums": no_minimums()}
    for name, obstacle in obstacles.items():
        if obstacle is None:
            sessions.insert(sessions.index("examples"), name)
        else:
            print(f"nox: {name} is left out: {obstacle}", file=sys.stderr)
    return sessions


nox.options.sessions = possible()


def run_tests(
    session: nox.Session,
    *backends: str,
    env: dict[str, str] | None = None,
    select: str = "tests",
    ignore: Sequence[str] = (),
    workers: str = "auto",
) -> None:
    """Run the tests on backends, by default with a process for each core, and one thread in each of these."""
    arguments = [argument for backend in backends for argument in ("--backend", backend)]
    arguments += [argument for tests in ignore for argument in ("--ignore", tests)]
    env = {**ONE_THREAD, **(env or {})}
    session.run("pytest", "-q", "-n", workers, *select.split(), *arguments, *session.posargs, env=env)


def kept_kernels(session: nox.Session) -> dict[str, str]:
    """Return the environment in which dpnp and JAX compile once for all processes, not once for each."""
    kept = session.cache_dir.resolve()
    return {
        "SYCL_CACHE_PERSISTENT": "1",
        "SYCL_CACHE_DIR": str(kept / "sycl"),
        "JAX_COMPILATION_CACHE_DIR": str(kept / "xla"),
        "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0",
        "JAX_PERSISTENT_CACHE_MIN_ENTRY_SIZE_BYTES": "-1",
    }


def run_scripts(
    session: nox.Session, scripts: Sequence[tuple[str, ...]], at_a_time: int, env: dict[str, str] | None
) -> None:
    """Run scripts, given as folder, name and arguments."""

    def run(script: tuple[str, ...]) -> None:
        folder, name, *arguments = script
        session.run("python", f"{folder}/{name}", *arguments, env=env)

    with ThreadPoolExecutor(at_a_time) as executor:
        list(executor.map(run, scripts))


def install(session: nox.Session, *requirements: str, extras: str = "") -> None:
    """Install anygrad, with extras, what the tests need, and more."""
    extras = f"sparse,{extras}" if extras else "sparse"
    session.install("-e", f".[{extras}]", *TEST, *requirements)


@nox.session
def numpy(session: nox.Session) -> None:
    """NumPy, with nothing else installed but what sparse Jacobians need."""
    install(session)
    run_tests(session, "numpy", ignore=(PAGES,))


@nox.session
def cupy(session: nox.Session) -> None:
    """CuPy. Without a CUDA device this fails."""
    if obstacle := no_cuda():
        session.error(f"CuPy cannot be tested: {obstacle}")
    version = ctypes.c_int()
    cuda_driver().cuDriverGetVersion(ctypes.byref(version))
    install(session, extras="cupy13" if version.value >= 13_000 else "cupy")
    run_tests(session, "cupy", workers="4")  # each takes some 500 MB of what may be one device
    session.run("python", "examples/any_library.py", "cupy")
    session.run("python", "examples/one_call.py", "cupy")


@nox.session
def torch(session: nox.Session) -> None:
    """PyTorch on the CPU, and on CUDA where there is a device that its build can use."""
    install(session, TORCH, extras="pool")
    run_tests(session, "torch")
    session.run("python", "examples/any_library.py", "torch")
    usable = session.run("python", "-c", "import torch; print(torch.cuda.is_available())", silent=True)
    if usable and usable.strip() == "True":
        run_tests(session, "torch-cuda", workers="4")


@nox.session
def jax(session: nox.Session) -> None:
    """JAX, with and without float64."""
    install(session, extras="jax")
    run_tests(session, "jax", env={"JAX_ENABLE_X64": "1", **kept_kernels(session)})
    run_tests(session, "jax", env={"JAX_ENABLE_X64": "0", **kept_kernels(session)})
    session.run("python", "examples/any_library.py", "jax")


@nox.session
def dask(session: nox.Session) -> None:
    """Dask arrays, by the generic backend."""
    install(session, extras="dask")
    run_tests(session, "dask")


@nox.session
def dpnp(session: nox.Session) -> None:
    """Intel's SYCL arrays, on the CPU where there is nothing else."""
    install(session, extras="dpnp")
    run_tests(session, "dpnp", env=kept_kernels(session))


@nox.session
def strict(session: nox.Session) -> None:
    """The array API and nothing but, on two devices, by the generic backend."""
    install(session, "array-api-strict>=2.6")
    run_tests(session, "strict")


@nox.session
def engines(session: nox.Session) -> None:
    """Pool on loky, process pools, Dask and MPI, started for the tests; workers are killed."""
    install(session, "mpich", extras="pool,distributed,mpi4py")
    run_tests(session, "numpy", select="tests/test_engines.py", workers="2")


@nox.session
def minimums(session: nox.Session) -> None:
    """The oldest versions of what is always installed, and of what sparse Jacobians need."""
    sparse = "scipy==1.13.0"
    install(session, "numpy==2.0.0", "array-api-compat==1.11", "optree==0.14.0", "tqdm==4.66.0", sparse)
    run_tests(session, "numpy", ignore=BATTERIES + OF_OURS_ALONE)


@nox.session
def lint(session: nox.Session) -> None:
    """Style, and a wheel and an sdist that could be published; the wheel alone runs the README's first example."""
    session.install(*LINT, "build[uv]", "twine")
    session.run("ruff", "check", ".")
    session.run("ruff", "format", "--check", ".")
    built = Path(session.create_tmp(), "dist")
    shutil.rmtree(built, ignore_errors=True)  # of an earlier version
    session.run("python", "-m", "build", "--installer", "uv", "--outdir", str(built), silent=True)
    session.run("twine", "check", "--strict", *map(str, built.iterdir()))
    [wheel] = built.glob("*.whl")
    tops = {name.partition("/")[0] for name in zipfile.ZipFile(wheel).namelist()}
    if strangers := {top for top in tops if top != "anygrad" and not top.endswith(".dist-info")}:
        session.error(f"the wheel holds more than the package: {', '.join(sorted(strangers))}")
    alone = Path(session.create_tmp(), "alone")
    session.run("python", "-m", "venv", "--clear", str(alone))
    python = str(alone / ("Scripts" if sys.platform == "win32" else "bin") / "python")
    session.run(python, "-m", "pip", "install", "--quiet", str(wheel), external=True)
    example = Path(session.create_tmp(), "example.txt")
    example.write_text(Path("README.md").read_text(encoding="utf-8").split("```python\n")[1].split("```")[0] + "\n")
    session.run(python, "-m", "doctest", str(example), external=True)


@nox.session
def types(session: nox.Session) -> None:
    """Static types."""
    session.install(*LINT, "-e", ".")
    session.run("mypy")


@nox.session
def examples(session: nox.Session) -> None:
    """The examples, the docs' own run and the pictures."""
    install(session, extras="examples,plot")
    run_tests(session, "numpy", select="tests/test_plot.py")
    scripts: list[tuple[str, ...]] = [
        *(("examples", f"{name}.py") for name in ("digits", "gradient_field", "any_library", "minimize", "one_call")),
        *(("docs", f"{name}.py", session.create_tmp()) for name in ("choosing_a_scheme", "gradient_field", "check")),
    ]
    run_scripts(session, scripts, at_a_time=2, env=ONE_THREAD)


@nox.session
def docs(session: nox.Session) -> None:
    """The documentation site, with warnings as errors, in docs/_build/html; and its examples, all of them."""
    install(session, *DOCS, *OTHERS, TORCH, extras="plot,pool,distributed,jax,dask")
    shutil.rmtree("docs/api", ignore_errors=True)  # the pages of what is public now
    build = ("sphinx-build", "-W", "--keep-going", "-n", "-E", "-q", "docs", "docs/_build/html")
    with ThreadPoolExecutor() as executor:  # which has one core busy
        built = executor.submit(session.run, *build)
        run_tests(session, "numpy", select=f"{PAGES} tests/test_coming_from.py")
    built.result()


@nox.session
def bench(session: nox.Session) -> None:
    """The benchmarks, each line once; ``nox -s bench -- full`` measures the ratios of benchmarks/README.md."""
    full = "full" in session.posargs
    session.install("-e", ".[jax,pool,sparse]", TORCH, "scipy>=1.15", "statsmodels", "numdifftools", "jacobi")
    quick = () if full else ("--quick",)
    scripts = [("benchmarks", f"{benchmark}.py", *quick) for benchmark in BENCHMARKS]
    # Where nothing is measured, the other core need not be idle.
    run_scripts(session, scripts, at_a_time=1 if full else 2, env=None if full else ONE_THREAD)
