"""Functions of users, and the same with something edited: what a journal has to notice, and what it has not to.

Each is the source of a module with an ``f``. What follows a line ``# simulator`` is that of the modules ``user_sim``
and ``user_package.sub``. Run as a script, this prints what a journal would know of each.
"""

from __future__ import annotations

import importlib
import sys
from pathlib import Path


def sources(text):
    """Return sources by their titles."""
    return dict(part.split("\n", 1) for part in text.split("=== ")[1:])


# In each of these, 2.0 is edited to 5.0.
EDITED = sources(
    """\
=== class attribute
class S:
    k = 2.0
    def __call__(self, x): return self.k * float(x.sum())
f = S()
=== class attribute of a global
class S:
    k = 2.0
def f(x): return S.k * float(x.sum())
=== class attribute of a bound method
class S:
    k = 2.0
    def loss(self, x): return self.k * float(x.sum())
f = S().loss
=== class attribute of a class method
class S:
    k = 2.0
    @classmethod
    def loss(cls, x): return cls.k * float(x.sum())
f = S.loss
=== class attribute of a base
class B:
    k = 2.0
class S(B):
    pass
    def __call__(self, x): return self.k * float(x.sum())
f = S()
=== class attribute of a metaclass
class M(type):
    k = 2.0
class S(metaclass=M): pass
def f(x): return S.k * float(x.sum())
=== class attribute of a class within
class S:
    class P:
        k = 2.0
    def __call__(self, x): return self.P.k * float(x.sum())
f = S()
=== class attribute beside a counter
class S:
    k, calls = 2.0, 0
    def __call__(self, x):
        S.calls += 1
        return self.k * float(x.sum())
f = S()
=== class that says how to pickle it
class S:
    k = 2.0
    def __reduce__(self): return S, ()
    def __call__(self, x): return self.k * float(x.sum())
f = S()
=== class of a dict
class S(dict):
    def k(self): return 2.0
s = S()
def f(x): return s.k() * float(x.sum())
=== static method
class S:
    @staticmethod
    def k(): return 2.0
    def __call__(self, x): return self.k() * float(x.sum())
f = S()
=== property
class S:
    @property
    def k(self): return 2.0
    def __call__(self, x): return self.k * float(x.sum())
f = S()
=== cached property
import functools
class S:
    @functools.cached_property
    def k(self): return 2.0
    def __call__(self, x): return self.k * float(x.sum())
f = S()
=== cached method
import functools
class S:
    @functools.lru_cache
    def k(self): return 2.0
    def __call__(self, x): return self.k() * float(x.sum())
f = S()
=== partial method
import functools
class S:
    def g(self, k, x): return k * float(x.sum())
    __call__ = functools.partialmethod(g, 2.0)
f = S()
=== abstract class
import abc
class B(abc.ABC):
    @abc.abstractmethod
    def k(self): ...
class S(B):
    def k(self): return 2.0
    def __call__(self, x): return self.k() * float(x.sum())
f = S()
=== slots
class S:
    __slots__ = ('k', '__weakref__')
    def __init__(self): self.k = 2.0
    def __call__(self, x): return self.k * float(x.sum())
f = S()
=== enum
import enum
class E(enum.Enum):
    A = 2.0
def f(x): return E.A.value * float(x.sum())
=== dataclass
import dataclasses
@dataclasses.dataclass
class S:
    k: float = 2.0
    def __call__(self, x): return self.k * float(x.sum())
f = S()
=== dataclass with a factory
import dataclasses
@dataclasses.dataclass
class S:
    k: float = dataclasses.field(default_factory=lambda: 2.0)
def f(x): return S().k * float(x.sum())
=== named tuple
import typing
class S(typing.NamedTuple):
    k: float = 2.0
def f(x): return S().k * float(x.sum())
=== function of a module
import user_sim
def f(x): return user_sim.loss(x)
# simulator
def loss(x): return 2.0 * float(x.sum())
=== variable of a module
import user_sim
def f(x): return user_sim.K * float(x.sum())
# simulator
K = 2.0
=== module imported within
def f(x):
    import user_sim
    return user_sim.loss(x)
# simulator
def loss(x): return 2.0 * float(x.sum())
=== function imported within
def f(x):
    from user_sim import loss
    return loss(x)
# simulator
def loss(x): return 2.0 * float(x.sum())
=== module of a package
import user_package.sub
def f(x): return user_package.sub.loss(x)
# simulator
def loss(x): return 2.0 * float(x.sum())
=== module imported relatively within
from user_package.relative import f
# simulator
def loss(x): return 2.0 * float(x.sum())
=== module that an object holds
import user_sim
class S:
    def __init__(self): self.sim = user_sim
    def __call__(self, x): return self.sim.loss(x)
f = S()
# simulator
K = 2.0
def loss(x): return K * float(x.sum())
=== module of a package imported within
def f(x):
    import user_package.sub
    return user_package.sub.loss(x)
# simulator
def loss(x): return 2.0 * float(x.sum())
=== module of a package imported within under another name
def f(x):
    import user_package.sub as s
    return s.loss(x)
# simulator
def loss(x): return 2.0 * float(x.sum())
=== module of a package imported from it within
def f(x):
    from user_package import sub as s
    return s.loss(x)
# simulator
def loss(x): return 2.0 * float(x.sum())
=== module imported around what uses it
def f(x):
    import user_sim
    def g(): return sum(user_sim.K * i for i in x)
    return float(g())
# simulator
K = 2.0
=== module imported within a class
def f(x):
    class S:
        import user_sim
        k = user_sim.K
    return S.k * float(x.sum())
# simulator
K = 2.0
=== module of a closure
def made():
    import user_sim
    return lambda x: user_sim.loss(x)
f = made()
# simulator
def loss(x): return 2.0 * float(x.sum())
=== module as a default argument
import user_sim
def f(x, sim=user_sim): return sim.loss(x)
# simulator
def loss(x): return 2.0 * float(x.sum())
=== module that is handed to a function
import user_sim
def g(sim, x): return sim.loss(x)
def f(x): return g(user_sim, x)
# simulator
def loss(x): return 2.0 * float(x.sum())
=== module that is imported within and handed to a function
def g(sim, x): return sim.loss(x)
def f(x):
    import user_sim
    return g(user_sim, x)
# simulator
def loss(x): return 2.0 * float(x.sum())
=== module that has another name within
import user_sim
def f(x):
    sim = user_sim
    return sim.loss(x)
# simulator
def loss(x): return 2.0 * float(x.sum())
=== module that one of two is
import user_sim, user_package
def f(x): return (user_sim if len(x) else user_package).loss(x)
# simulator
def loss(x): return 2.0 * float(x.sum())
=== module that is returned
import user_sim
def sim(): return user_sim
def f(x): return sim().loss(x)
# simulator
def loss(x): return 2.0 * float(x.sum())
=== module that a module which is held has
import user_package.held
class S: package = user_package.held
def f(x): return S.package.sub.loss(x)
# simulator
def loss(x): return 2.0 * float(x.sum())
=== module whose variable is added to
import user_sim
def f(x):
    user_sim.K += 0
    return user_sim.K * float(x.sum())
# simulator
K = 2.0
=== variables of a module
import user_sim
def f(x): return user_sim.__dict__['K'] * float(x.sum())
# simulator
K = 2.0
=== attrgetter of a module
import operator, user_sim
def f(x): return operator.attrgetter('K')(user_sim) * float(x.sum())
# simulator
K = 2.0
=== name for getattr from elsewhere
import user_sim
def of(sim, name): return getattr(sim, name)
def f(x): return of(user_sim, 'K') * float(x.sum())
# simulator
K = 2.0
=== getattr of a module
import user_sim
def f(x): return getattr(user_sim, 'loss')(x)
# simulator
def loss(x): return 2.0 * float(x.sum())
=== module with a counter
import user_sim
def f(x): return user_sim.loss(x)
# simulator
calls = 0
def loss(x):
    global calls
    calls += 1
    return 2.0 * float(x.sum())
=== function with a counter
n = 0
def h(x):
    global n
    n += 1
    return 2.0 * float(x.sum())
def f(x): return h(x)
=== function behind one with a counter
import functools
def counted(g):
    n = 0
    @functools.wraps(g)
    def inner(x):
        nonlocal n
        n += 1
        return g(x)
    return inner
@counted
def h(x): return 2.0 * float(x.sum())
def f(x): return h(x)
=== object with a counter
class S:
    def __init__(self): self.n, self.k = 0, K
    def loss(self, x):
        self.n += 1
        return self.k * float(x.sum())
K = 2.0
s = S()
def f(x): return s.loss(x)
=== object with a part that points back to it
class N: pass
s = N()
s.a, s.b = N(), N()
s.a.parent = s.b.parent = s
s.a.other, s.b.k = s.b, 2.0
def f(x): return s.a.parent.b.k * float(x.sum())
=== function with attributes
def f(x): return f.k * float(x.sum())
f.k = 2.0
=== single dispatch
import functools
import numpy as np
@functools.singledispatch
def h(x): return 1.0
@h.register
def _(x: np.ndarray): return 2.0 * float(x.sum())
def f(x): return h(x)
=== attribute beside py_func
def without(x): return 0
class S:
    def __init__(self): self.k, self.py_func = 2.0, without
    def __call__(self, x): return self.k * float(x.sum())
f = S()
=== context variable
import contextvars
K = contextvars.ContextVar('K')
K.set(2.0)
def f(x): return K.get() * float(x.sum())
=== mask
import numpy as np
W = np.ma.array([1.0, 1.0, 1.0], mask=[0, 1, 2.0 > 4])
def f(x): return float((W * x).sum())
=== array with attributes
import numpy as np
class A(np.ndarray): pass
W = np.ones(3).view(A)
W.k = 2.0
def f(x): return W.k * float(x.sum())
=== method that is not written in Python
import numpy as np
f = np.array([2.0, 1.0, 1.0]).dot
=== mapping that cannot be changed
import types
K = types.MappingProxyType({'k': 2.0})
def f(x): return K['k'] * float(x.sum())
=== pattern
import re
P = re.compile('2.0')
def f(x): return (1 if P.match('2.0') else 3) * float(x.sum())
=== function of one name in another library
import cmath, math
sin = math.sin if 2.0 < 4 else cmath.sin
def f(x): return abs(sin(float(x.sum())))
"""
)

# These are known again, though something in them is another one in every process, or changes with every call.
KNOWN_AGAIN = sources(
    """\
=== what f does not use of a module
import user_sim
def f(x): return user_sim.loss(x)
# simulator
import numpy as np, os, sys, time
START, PID, rng, file = time.time(), os.getpid(), np.random.default_rng(), sys.__stderr__
def loss(x): return float(x.sum())
=== what has the name of an attribute of something else
import time
import user_sim
start, data = time.time(), time.time()
class S: start, data = 1.0, 2.0
def f(x):
    import user_package.sub as sub
    s, names = S(), {'start': 1.0}
    return user_sim.loss(x) * s.start * s.data * names['start'] + sub.loss(x)
# simulator
import time
start, data = time.time(), time.time()
def loss(x): return float(x.sum())
=== strings, where modules are handed around
import user_sim
def g(sim, x): return sim.loss(x)
def f(x): return g(user_sim, x) * len('start')
# simulator
import time
start = time.time()
def loss(x): return float(x.sum())
=== files, locks and loggers
import logging, sys, threading
lock, log, file = threading.Lock(), logging.getLogger(__name__), sys.__stderr__
class S:
    lock = threading.RLock()
    def __call__(self, x):
        with self.lock, lock: log.debug(file.name)
        return float(x.sum())
f = S()
=== caches
import user_sim
def f(x): return user_sim.loss(x)
# simulator
import functools
cache = {}
@functools.lru_cache
def k(n): return 2.0 * n
def loss(x): return cache.setdefault(x.tobytes(), k(2) * float(x.sum()))
=== sets
A = {'a', 'b', 'c', 'd'}
class S:
    names = frozenset({'u', 'v', 'w', 'x'})
    def __call__(self, x): return float(x.sum()) * len(self.names) * len(A)
f = S()
=== enums
import enum
class E(enum.Flag):
    A, B = 1, 2
class I(enum.IntEnum):
    A = enum.auto()
def f(x): return (E.A | E.B).value * I.A * float(x.sum())
=== abstract classes and protocols
import abc, typing
T = typing.TypeVar('T')
@typing.runtime_checkable
class P(typing.Protocol):
    def k(self): ...
class B(abc.ABC, typing.Generic[T]): pass
class S(B[int]):
    def k(self): return 2.0
    def __call__(self, x): return isinstance(self, P) * isinstance(self, B) * float(x.sum())
f = S()
=== classes that hold each other
class A:
    def b(self): return B
class B:
    a = A
    def __call__(self, x): return float(x.sum())
A.made = B
f = B()
=== objects that hold each other
class N: next = None
a, b = N(), N()
a.next, b.next = b, a
last = first = N()
for _ in range(2000):
    last.next = N()
    last = last.next
def f(x): return float(x.sum()) * (a.next is b) * (first is not last)
=== functions and classes of one name
def make(k):
    class S:
        c = k
        def __call__(self, x): return self.c * float(x.sum())
    return S()
fs = [make(1.0), make(2.0), *(lambda x, i=i: i * float(x.sum()) for i in range(3))]
def f(x): return sum(g(x) for g in fs)
=== imports that fail
def f(x):
    try:
        import no_module_of_this_name
    except ImportError:
        pass
    import os.path
    from math import cos
    return cos(0) * float(x.sum())
"""
)


def write(source: str, folder: Path) -> None:
    """Write the modules of a source to a folder."""
    main, _, sim = source.partition("# simulator\n")
    package = folder / "user_package"
    package.mkdir(exist_ok=True)
    (folder / "user_model.py").write_text(main)
    (folder / "user_sim.py").write_text(sim)
    (package / "__init__.py").touch()
    (package / "sub.py").write_text(sim)
    (package / "held.py").write_text("from user_package import sub\n")
    (package / "relative.py").write_text("def f(x):\n    from . import sub\n    return sub.loss(x)\n")


def imported():
    """Return f, imported as a new process would."""
    sys.dont_write_bytecode = True  # it is told from what it was made of by a time in seconds
    for name in [name for name in sys.modules if name.startswith("user_")]:
        del sys.modules[name]
    importlib.invalidate_caches()
    return importlib.import_module("user_model").f


def main(folder):
    from anygrad.evaluators._journal.inventory import inventory_of

    sys.path.insert(0, folder)
    for name, source in (EDITED | KNOWN_AGAIN).items():
        write(source, Path(folder))
        for label, _, held in inventory_of(imported()):
            print(name, label, held.hex(), sep="; ")


if __name__ == "__main__":
    main(*sys.argv[1:])
