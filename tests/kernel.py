"""Calling from Python what only kernels call."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar, cast

import numba

F = TypeVar("F", bound=Callable[..., Any])


def called(helper: F) -> F:
    """``helper`` (``detectors.kernels.inlined`` or ``pasted``) compiled with a way in from Python."""
    function = cast(Any, helper).py_func
    return cast(F, numba.njit(error_model="numpy", _nrt=False)(function))
