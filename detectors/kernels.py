"""The one way a function is compiled here, and the small arithmetic that kernels share.

``@kernel`` compiles with numba: cached on disk, without the interpreter lock, without fast-math (so that
every machine decides alike). `detectors.cache` says where the cache is and when it is stale: a changed source
compiles anew, an unchanged one loads in less than a second. Where no cache can be written, kernels are
compiled at each start, with a warning.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any, TypeVar, cast

import numba
import numpy as np
from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.core.codegen import CPUCodeLibrary
from numba.core.compiler import CompilerBase, DefaultPassBuilder
from numba.extending import intrinsic

from detectors.cache import KernelCache, cache_directory, writable

F = TypeVar("F", bound=Callable[..., Any])


def _use_cache() -> bool:
    directory = cache_directory()
    if directory is not None and writable(directory):
        return True
    warnings.warn(
        f"kernels are compiled anew at each start: {directory or 'the cache directory'} cannot be written; "
        "set RINGFENCE_CACHE_DIR to a directory that can",
        RuntimeWarning,
        stacklevel=2,
    )
    return False


CACHED = _use_cache()


_OPTIONS = {"nogil": True, "fastmath": False, "error_model": "numpy", "_nrt": False, "no_cfunc_wrapper": True}
"""``_nrt`` False: no reference counts on the arrays a kernel is given. They cost several times the work
itself where arrays come as named tuples through several functions. A kernel therefore makes no array."""


class _Part(CPUCodeLibrary):  # type: ignore[misc]
    """Code that is only linked into kernels: neither optimized nor made machine code by itself. Helpers are
    nested many deep, and each level would be optimized with all below it: that doubled the compilation."""

    def _optimize_final_module(self) -> None:
        """Left to the kernel."""

    def _finalize_final_module(self) -> None:
        self._finalize_dynamic_globals()
        self._finalized = True

    def get_pointer_to_function(self, _: str) -> int:
        """None: it has no machine code."""
        self._ensure_finalized()
        return 0

    @property
    def codegen(self) -> _Part:
        return self

    def set_env(self, *_: Any) -> None:
        """What Python would need to call it: nothing does."""


class _PartCompiler(CompilerBase):  # type: ignore[misc]
    def define_pipelines(self) -> list[Any]:
        state = self.state
        state.library = _Part(state.targetctx.codegen(), state.func_id.func_qualname)
        return [DefaultPassBuilder.define_nopython_pipeline(state)]


_PART_OPTIONS = _OPTIONS | {"no_cpython_wrapper": True, "pipeline_class": _PartCompiler}


KERNELS: list[Any] = []
"""Every kernel of the modules that are imported, as numba's dispatchers."""


def kernel(function: F) -> F:
    """Compile ``function`` on its first call. Typed as the function it wraps."""
    dispatcher = numba.njit(**_OPTIONS)(function)
    if CACHED:
        dispatcher._cache = KernelCache(function)
    KERNELS.append(dispatcher)
    return cast(F, dispatcher)


def inlined(function: F) -> F:
    """As `kernel`, for a helper that is only called from kernels: nothing of its own is cached."""
    return cast(F, numba.njit(cache=False, **_PART_OPTIONS)(function))


def pasted(function: F) -> F:
    """As `inlined`, for a helper that is given named tuples of arrays: always pasted into its caller, since
    handing over so many arrays costs more than most helpers do."""
    return cast(F, numba.njit(cache=False, forceinline=True, **_PART_OPTIONS)(function))


@intrinsic  # type: ignore[untyped-decorator]
def prefetch(_typing: Any, array: Any, _index: Any, _line: Any) -> Any:
    """``prefetch(array, index, line)`` asks the processor for the 64 bytes that begin ``line`` times 64 after
    element ``index`` of a contiguous array of one dimension, so that they are near when they are needed."""

    def code(context: Any, builder: Any, signature: Any, given: Any) -> Any:
        held = context.make_array(signature.args[0])(context, builder, given[0])
        line = builder.mul(given[2], context.get_constant(types.intp, 64))
        start = builder.add(builder.mul(given[1], held.itemsize), line)
        byte, kind = ir.IntType(8).as_pointer(), ir.IntType(32)
        place = builder.gep(builder.bitcast(held.data, byte), [start])
        wanted = ir.FunctionType(ir.VoidType(), [byte, kind, kind, kind])
        function = cgutils.get_or_insert_function(builder.module, wanted, "llvm.prefetch.p0")
        builder.call(function, [place, kind(1), kind(3), kind(1)])
        return context.get_dummy_value()

    return types.void(array, types.int64, types.int64), code


_GOLDEN = np.uint64(0x9E3779B97F4A7C15)
_FIRST = np.uint64(0xBF58476D1CE4E5B9)
_SECOND = np.uint64(0x94D049BB133111EB)
_S27, _S30, _S31 = np.uint64(27), np.uint64(30), np.uint64(31)


@inlined
def mix(value: Any) -> Any:
    """splitmix64 of ``value`` (an integer of any sign): uint64 with every bit depending on every bit."""
    z = np.uint64(value) + _GOLDEN
    z = (z ^ (z >> _S30)) * _FIRST
    z = (z ^ (z >> _S27)) * _SECOND
    return z ^ (z >> _S31)


@inlined
def mix2(first: Any, second: Any) -> Any:
    """uint64 that depends on two integers and on their order."""
    return mix(np.uint64(mix(first)) ^ np.uint64(second))


_M1, _M2 = np.uint64(0x5555555555555555), np.uint64(0x3333333333333333)
_M4, _H01 = np.uint64(0x0F0F0F0F0F0F0F0F), np.uint64(0x0101010101010101)
_B1, _B2, _B4, _B56 = np.uint64(1), np.uint64(2), np.uint64(4), np.uint64(56)


@inlined
def popcount(word: Any) -> Any:
    """Bits set in a uint64, as int64."""
    x = word - ((word >> _B1) & _M1)
    x = (x & _M2) + ((x >> _B2) & _M2)
    x = (x + (x >> _B4)) & _M4
    return np.int64((x * _H01) >> _B56)
