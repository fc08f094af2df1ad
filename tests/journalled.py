"""A run that is killed and goes on: what `test_journal.py` starts as a process of its own.

    RECORD=LOG python journalled.py PATH CASE KILLS SEED

Each call of f appends a line to LOG, on the disk before f returns. With KILLS, a copy of this process (forked, as
importing takes longest) is killed so often, at random moments; then one runs to the end, and its result is printed.
"""

from __future__ import annotations

import multiprocessing
import os
import random
import signal
import sys
import tempfile
import time
import warnings
from concurrent.futures import ProcessPoolExecutor
from contextlib import suppress
from zlib import crc32

import numpy as np

import anygrad

SIZE = 300
VERIFY = os.environ.get("VERIFY", "1") == "1"
SCALE = np.linspace(0.5, 2.0, SIZE)


def log(line):
    file = os.open(os.environ["RECORD"], os.O_WRONLY | os.O_APPEND | os.O_CREAT)
    os.write(file, f"{line}\n".encode())
    os.fsync(file)
    os.close(file)


def gradient(path, evaluator=None):
    x = np.linspace(-1.0, 2.0, SIZE)

    def f(_):  # which reads the array that is perturbed, as the book's do
        log(crc32(x))
        time.sleep(float(os.environ.get("PAUSE", "0")))
        return float(np.sin(SCALE * x).sum())

    return anygrad.numerical_gradient(f, x, evaluator=evaluator or anygrad.Journal(path, verify=VERIFY))


def hessian(path, evaluator=None):
    x = {"a": np.linspace(0.5, 2.0, 12), "b": np.ones((2, 4))}

    def f(x):
        log(crc32(x["b"], crc32(x["a"])))
        return (float((x["a"] ** 3).sum() * x["b"].sum()), "aux")

    tree, aux = anygrad.hessian(f, x, has_aux=True, evaluator=evaluator or anygrad.Journal(path, verify=VERIFY))
    assert aux == "aux"
    return np.concatenate([part.reshape(-1) for row in tree.values() for part in row.values()])


def pool(path, evaluator=None):
    x = np.linspace(0.5, 2.0, 100)

    def f(x):
        log(crc32(x))
        time.sleep(0.001)
        return float(np.exp(x).sum())

    with ProcessPoolExecutor(2, mp_context=multiprocessing.get_context("fork")) as executor:
        journal = anygrad.Journal(path, anygrad.Pool(executor, chunk=2), verify=VERIFY) if path else evaluator
        return anygrad.numerical_gradient(f, x, evaluator=journal)


CASES = {"gradient": gradient, "hessian": hessian}
if hasattr(anygrad, "Pool") and hasattr(os, "fork"):
    CASES["pool"] = pool


def killed_at_random(run, chance):
    """Run in a copy of this process, and kill it after some time, or some calls; return whether it was killed."""
    child = os.fork()
    if not child:
        os.setpgid(0, 0)
        log("run")
        run()
        os._exit(0)
    with suppress(PermissionError):  # whichever of the two is first
        os.setpgid(child, child)
    if chance.random() < 0.5:
        time.sleep(chance.uniform(0.0, 0.04))
    else:
        begun, length, deadline = recorded(), 10 * chance.randrange(1, 15), time.monotonic() + 5.0
        while recorded() < begun + length and time.monotonic() < deadline:
            time.sleep(0.0002)
    os.killpg(child, signal.SIGKILL)  # with the processes of its pool
    _, status = os.waitpid(child, 0)
    return os.WIFSIGNALED(status)


def recorded():
    return os.stat(os.environ["RECORD"]).st_size


def main(path, case, kills="0", seed="0"):
    def run():
        return CASES[case](path)

    # What is imported late is imported here, and not by every copy.
    with tempfile.TemporaryDirectory() as folder:
        warm = anygrad.Journal(f"{folder}/warm")
        anygrad.numerical_gradient(np.sum, np.ones(2), scheme=anygrad.Adaptive(), evaluator=warm)
    warnings.simplefilter("ignore")
    chance = random.Random(int(seed))
    log("begun")
    killed = sum(killed_at_random(run, chance) for _ in range(int(kills)))
    log("run")
    print(killed, run().tobytes().hex())


if __name__ == "__main__":
    main(*sys.argv[1:])
