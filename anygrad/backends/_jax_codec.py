"""How JAX's elements lie in memory, those of bfloat16 among them."""

from __future__ import annotations

from functools import cache
from typing import Any

import jax.numpy as jnp
import numpy as np

from anygrad.backends._codec import Codec, cast, real_dtype


@cache
def codec_of(dtype: np.dtype[Any]) -> Codec:
    """Return the codec of a dtype that JAX knows; bfloat16 is one that NumPy's own codec does not."""
    limits = jnp.finfo(dtype)
    real = real_dtype(dtype)
    working = np.result_type(dtype, np.float64)
    real_working = np.result_type(real, np.float64)
    return Codec(
        dtype=working,
        working=real_working,
        storage=dtype,
        decode=lambda raw: raw.astype(working, copy=False),
        encode=lambda numbers: cast(numbers, dtype),
        nearest=lambda numbers: cast(numbers, real).astype(real_working, copy=False),
        eps=float(limits.eps),
        tiny=float(limits.smallest_subnormal),
    )
