"""f and x, ready to be differentiated."""

from anygrad.problem.function import Function
from anygrad.problem.lines import direction_lines, element_lines, pointwise_lines
from anygrad.problem.options import Options
from anygrad.problem.parameters import Parameters
from anygrad.problem.problem import Problem
from anygrad.problem.result import ConstantFunctionWarning, Result

__all__ = [
    "ConstantFunctionWarning",
    "Function",
    "Options",
    "Parameters",
    "Problem",
    "Result",
    "direction_lines",
    "element_lines",
    "pointwise_lines",
]
