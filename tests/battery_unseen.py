"""Functions set aside: no scheme is to be tuned to these. See `battery`."""

from __future__ import annotations

from battery_functions import Function

FUNCTIONS = (
    Function("Planck x**3/(exp(x) - 1)", lambda xp, x: x**3 / xp.expm1(x), (1e-4, 0.5, 2.8214393721220787, 10.0, 40.0)),
    Function("Lennard-Jones", lambda xp, x: 4 * (1 / x**12 - 1 / x**6), (0.5, 1.0, 1.122462048309373, 2.0, 10.0)),
    Function("Morse", lambda xp, x: (1 - xp.exp(-2 * (x - 1))) ** 2, (0.0, 1.0, 1.1, 3.0, 8.0)),
    Function("Arrhenius exp(-6000/x)", lambda xp, x: xp.exp(-6000 / x), (150.0, 300.0, 1000.0, 3e4)),
    Function("Michaelis-Menten", lambda xp, x: x / (x + 1 / 1024), (0.0, 1e-5, 1e-3, 0.1, 10.0)),
    Function("Fermi", lambda xp, x: 1 / (1 + xp.exp(64 * (x - 1))), (1.0, 0.9, 1.2, 0.5, 1.05)),
    Function("cos(exp(x))", lambda xp, x: xp.cos(xp.exp(x)), (-3.0, 0.0, 1.0, 3.0, 5.0)),
    Function("sin(x)/sqrt(x)", lambda xp, x: xp.sin(x) / xp.sqrt(x), (1e-4, 0.1, 2.0, 30.0, 1e3)),
    Function("logit", lambda xp, x: xp.log(x / (1 - x)), (1e-8, 0.01, 0.5, 0.75, 0.999)),
    Function("(x**3 - 2)/(x**2 - 3)", lambda xp, x: (x**3 - 2) / (x**2 - 3), (0.0, 1.0, 1.7, 1.75, 50.0)),
    Function("Gompertz", lambda xp, x: xp.exp(-xp.exp(-x)), (-2.0, 0.0, 1.0, 8.0, 15.0)),
    Function("entropy", lambda xp, x: -x * xp.log(x) - (1 - x) * xp.log(1 - x), (1e-6, 0.1, 0.5, 0.9, 0.999)),
    Function("Hill x**4/(1 + x**4)", lambda xp, x: x**4 / (1 + x**4), (0.0, 0.1, 1.0, 5.0, 100.0)),
    Function("Kepler x - 15/16 sin(x)", lambda xp, x: x - 0.9375 * xp.sin(x), (0.0, 0.01, 1.0, 3.0, 200.0)),
    Function("log(cosh(x))", lambda xp, x: xp.log(xp.cosh(x)), (0.0, 1e-3, 1.0, 20.0, -5.0)),
    Function("x**2 sin(1/x)", lambda xp, x: x**2 * xp.sin(1 / x), (0.01, 0.05, 0.3, 1.0, -4.0)),
    Function("resonance", lambda xp, x: 1 / ((1 - x**2) ** 2 + (x / 128) ** 2), (0.5, 0.99, 1.0, 1.004, 3.0)),
)
