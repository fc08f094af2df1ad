"""x as a tree of arrays: the gradient has the same structure."""

from __future__ import annotations

import copy
import cProfile
import dataclasses
import itertools
import pickle
from collections import OrderedDict, namedtuple
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import optree
import pytest

import anygrad

OPERATORS = [anygrad.numerical_gradient, anygrad.jacobian, anygrad.hessian]
Layer = namedtuple("Layer", ["weight", "bias"])


@dataclass(frozen=True)
class Net:
    first: Any
    rest: Any


class Pair:
    """A container that only optree has been told about."""

    def __init__(self, a, b):
        self.a, self.b = a, b


optree.register_pytree_node(
    Pair, lambda pair: ((pair.a, pair.b), None), lambda _, children: Pair(*children), namespace="anygrad"
)
CONTAINERS = {
    "dict": lambda a, b: {"w": a, "b": b},
    "ordered dict": lambda a, b: OrderedDict(w=a, b=b),
    "list": lambda a, b: [a, b],
    "namedtuple": Layer,
    "nested": lambda a, b: {"layers": (Layer(a, b),), "none": None},
}


def leaves(tree):
    return optree.tree_leaves(tree, namespace="anygrad")


@pytest.mark.parametrize("kind", CONTAINERS)
def test_the_gradient_is_in_the_same_container(lib, kind):
    build = CONTAINERS[kind]
    tree = build(lib.asarray(np.array([[1.0, 2.0]]), "float32"), lib.asarray(np.array(3.0), "float32"))
    gradient = anygrad.numerical_gradient(lambda tree: sum(lib.xp.sum(leaf**2) for leaf in leaves(tree)), tree)
    assert optree.tree_structure(gradient) == optree.tree_structure(tree)
    for x, g in zip(leaves(tree), leaves(gradient), strict=True):
        assert (type(g), g.shape, g.dtype) == (type(x), x.shape, x.dtype)
        assert np.allclose(lib.numpy(g), 2 * lib.numpy(x), rtol=1e-2)


def test_a_dataclass_of_dataclasses(lib):
    w, b = lib.asarray(np.array([1.0, 2.0]), "float32"), lib.asarray(np.array(3.0), "float32")
    net = Net(first=w, rest={"inner": Net(b, (w + 1,))})

    def f(net):
        inner = net.rest["inner"]
        return lib.xp.sum(net.first**2) * inner.first + lib.xp.sum(inner.rest[0])

    gradient = anygrad.numerical_gradient(f, net)
    assert isinstance(gradient, Net)
    assert isinstance(gradient.rest["inner"], Net)
    assert np.allclose(lib.numpy(gradient.first), [6, 12], rtol=1e-2)
    assert np.allclose(lib.numpy(gradient.rest["inner"].first), 5, rtol=1e-2)
    assert np.allclose(lib.numpy(gradient.rest["inner"].rest[0]), [1, 1], rtol=1e-2)


def test_a_dataclass_that_works_when_it_is_made_and_has_fields_that_are_not_given_to_it():
    @dataclass
    class Normalised:
        weight: Any
        scale: float = field(init=False, default=1.0)

        def __post_init__(self):
            self.weight = self.weight / np.linalg.norm(self.weight)

    x = Normalised(np.array([3.0, 4.0]))
    x.scale, x.weight = 5.0, np.array([1.0, 2.0])
    gradient = anygrad.numerical_gradient(lambda x: (x.weight * x.scale).sum(), x)
    assert np.allclose(gradient.weight, [5, 5])
    assert gradient.scale == 5


def test_a_type_registered_with_optree():
    gradient = anygrad.numerical_gradient(lambda pair: (pair.a * pair.b).sum(), Pair(np.array([2.0]), np.array([5.0])))
    assert isinstance(gradient, Pair)
    assert np.allclose([gradient.a, gradient.b], [[5], [2]])


def test_a_dict_of_a_class_that_optree_does_not_know_is_refused():
    class Parameters(dict):
        pass

    for operator in OPERATORS:
        with pytest.raises(
            TypeError, match=r"x is a .*Parameters, whose class is not registered as a tree: pass dict\(x\)"
        ):
            operator(lambda p: p["a"].sum(), Parameters(a=np.ones(2)))


def test_keys_that_look_alike():
    class Key(str):
        __slots__ = ()
        __hash__ = str.__hash__

        def __repr__(self):
            return "key"

    tree = {Key("a"): np.array([1.0]), Key("b"): np.array([2.0])}
    gradient = anygrad.numerical_gradient(lambda t: sum((leaf**2).sum() for leaf in t.values()), tree)
    assert np.allclose([*gradient.values()], [[2], [4]])


def test_an_empty_tree():
    assert anygrad.numerical_gradient(lambda tree: 0.0, {}) == {}


def test_numbers_beside_arrays_are_of_their_library(lib):
    x = {"w": lib.asarray(np.ones(2), "float32"), "s": 2.0, "t": [1.0, 3.0]}
    result = anygrad.numerical_gradient(lambda p: lib.xp.sum(p["w"] ** 2) * p["s"] + p["t"][1], x)
    for key, expected in (("w", 4.0), ("s", 2.0), ("t", [0.0, 1.0])):
        assert np.allclose(lib.numpy(result[key]), expected, atol=0.02)
    if lib.name != "numpy":  # whose numbers they are in any case
        assert {str(leaf.dtype) for leaf in result.values()} == {str(x["w"].dtype)}


@pytest.mark.libraries(lambda lib: lib.name in {"torch", "jax"})
@pytest.mark.parametrize("dtypes", [("float16",), ("float16", "float32"), ("complex64",)])
def test_numbers_beside_arrays_are_no_narrower_than_any_of_these(lib, dtypes):
    x = {f"w{i}": lib.asarray(np.ones(2), dtype) for i, dtype in enumerate(dtypes)} | {"s": 1e5}
    result = anygrad.numerical_gradient(lambda p: lib.xp.real(lib.xp.sum(p["w0"])) + p["s"] * 2, x)
    assert str(result["s"].dtype).endswith("float32")
    assert np.allclose(lib.numpy(result["s"]), 2.0, atol=0.02)


def test_full_output_is_a_tree_in_each_part_and_can_be_copied_and_pickled():
    tree = {"w": np.array([1.0, 2.0]), "b": np.array(100.0)}
    result = anygrad.numerical_gradient(lambda p: p["w"].sum() + p["b"], tree, full_output=True)
    assert np.array_equal(result.step["w"], [1e-4, 1e-4])
    assert result.step["b"] > 1e-4
    assert (result.ncalls, result.npoints, result.error) == (6, 6, None)
    assert set(result.flags) == {"nonfinite", "one_sided"}
    assert not result.flags["nonfinite"]["w"].any()
    for other in pickle.loads(pickle.dumps(result)), copy.deepcopy(result):
        assert np.array_equal(other.value["w"], result.value["w"])
        assert other.flags.keys() == result.flags.keys()
    assert dataclasses.asdict(result)["ncalls"] == 6


def test_f_may_change_the_containers_it_is_given():
    tree = {"w": np.array([1.0, 2.0]), "b": np.array(3.0)}
    gradient = anygrad.numerical_gradient(lambda p: p.pop("w").sum() * p["b"], tree)
    assert np.allclose(gradient["w"], [3, 3])
    assert set(tree) == {"w", "b"}


# --- shared memory ------------------------------------------------------------------------------------------------


def test_views_that_do_not_overlap_may_lie_in_the_same_memory():
    v = np.array([1.0, 2.0, 3.0])
    with pytest.raises(ValueError, match=r"x\[0\] and x\[1\] share memory"):
        anygrad.numerical_gradient(lambda t: t[0].sum() + 10 * t[1].sum(), [v[:2], v[1:]])
    gradient = anygrad.numerical_gradient(lambda t: t[0].sum() + 10 * t[1].sum(), [v[::2], v[1::2]])
    assert np.allclose(gradient[0], [1, 1])
    assert np.allclose(gradient[1], [10])


@pytest.mark.parametrize("operator", OPERATORS)
def test_memory_that_any_two_arrays_share_is_refused_before_f_is_called(operator):
    """Other arrays may lie between the two, their dtypes may differ, and one may be a read-only view."""
    v, frozen, calls = np.ones(4), np.ones(4), 0
    frozen.flags.writeable = False
    view = v.view()
    view.flags.writeable = False

    def f(_):
        nonlocal calls
        calls += 1
        return 1.0

    many = {i: np.ones(1) for i in range(50)}
    for x in (
        {"a": v, "b": v},
        {"a": v, "b": np.ones(2, "float32"), "c": v.view("float32")},
        {"a": v, "b": view},
        {"a": v[:2], "b": v[1:], "c": frozen},
        many | {0: v[:3], 49: v[2:]},
        [v[::2], frozen, v[1:3]],
        [v, *np.ones((3, 1)), v[::-1]],
    ):
        with pytest.raises(ValueError, match=r"share memory.*copy"):
            operator(f, x)
    assert calls == 0
    with pytest.warns(anygrad.ConstantFunctionWarning):  # what is copied may share
        operator(f, {"a": frozen, "b": frozen, "c": v})


@pytest.mark.libraries(lambda lib: lib.name == "torch")
def test_memory_that_arrays_of_two_libraries_share_is_refused(lib):
    v = np.ones(4)
    with pytest.raises(ValueError, match=r"x\['a'\] and x\['b'\] share memory"):
        anygrad.numerical_gradient(lambda p: 1.0, {"a": v, "b": lib.xp.from_numpy(v[2:])})


@pytest.mark.libraries(lambda lib: lib.name == "jax")
def test_one_immutable_array_may_be_in_two_places(lib):
    w = lib.asarray(np.array([1.0, 2.0]), "float32")
    gradient = anygrad.numerical_gradient(lambda p: lib.xp.sum(p["a"] * p["b"] ** 2), {"a": w, "b": w})
    assert np.allclose(lib.numpy(gradient["a"]), [1, 4], rtol=1e-2)
    assert np.allclose(lib.numpy(gradient["b"]), [2, 8], rtol=1e-2)


# --- many arrays --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("evaluator", [anygrad.Loop(), anygrad.Loop(in_place=False)], ids=repr)
@pytest.mark.parametrize("operator", [anygrad.numerical_gradient, anygrad.jacobian])
@pytest.mark.parametrize(
    "make",
    [
        lambda n: np.split(np.ones(2 * n), n),
        lambda n: [{"w": np.ones(2), "rest": (np.ones(1), [np.ones(1)])} for _ in range(n // 3)],
        lambda n: [np.ones(2, "float32" if i % 2 else "float64") for i in range(n)],
        lambda n: [Net(np.ones(1), np.ones(1)) for _ in range(n // 2)],
    ],
    ids=["views", "nested", "two dtypes", "dataclasses"],
)
def test_the_work_is_linear_in_the_number_of_arrays(make, operator, evaluator):
    def calls(n):
        profile, x, numbers = cProfile.Profile(), make(n), itertools.count()
        profile.runcall(operator, lambda _: float(next(numbers)), x, evaluator=evaluator)
        return sum(entry.callcount for entry in profile.getstats())

    calls(30)  # what is called once
    assert calls(120) < 5 * calls(30)
