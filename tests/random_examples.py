"""How many random examples a test is given."""

from __future__ import annotations

from hypothesis import HealthCheck, settings

REPEATABLE, THINNED = "repeatable", "thinned"

# The same examples each time: a session that fails has found something that the change has done.
settings.register_profile(
    REPEATABLE,
    derandomize=True,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
# In a session of libraries on which each takes a second.
settings.register_profile(THINNED, settings.get_profile(REPEATABLE), max_examples=5)


def examples(most: int) -> settings:
    """Return the settings of a test with so many examples, or as many as there is time for."""
    return settings(max_examples=min(most, settings().max_examples))
