"""Where compiled things are kept, and when they are stale.

numba does not notice when a function imported from another file changes, so kernels live in a directory named
after a digest of every module that kernels are made of, and of the versions of numba and Python. What cannot
change a kernel is not in the digest: docstrings, comments, where a line is, modules that no kernel's module
imports. A directory is found by whatever copy of these sources, wherever it is installed.

``RINGFENCE_CACHE_DIR`` names another directory for the cache; the default is the user's own cache directory.
"""

from __future__ import annotations

import ast
import hashlib
import os
import shutil
import sys
import tempfile
import time
from collections.abc import Iterable
from functools import cache
from pathlib import Path
from typing import Any

import numba
from numba.core.caching import CompileResultCacheImpl, FunctionCache, UserProvidedCacheLocator

KEPT = 4
"""Directories of kernels kept, the ones used last; a release has one on each sort of machine."""
KEPT_S = 86_400
"""One that was used within a day is kept too: a process may be compiling into it."""

_PACKAGE = Path(__file__).parent


@cache
def sources_digest() -> str:
    """16 hex digits over what kernels are compiled from, numba's and Python's version."""
    sources = {path.stem: path.read_bytes() for path in sorted(_PACKAGE.glob("*.py"))}
    raw = hashlib.sha256(repr(sorted(sources.items())).encode()).hexdigest()[:32]
    root = cache_root()
    known = root / "kernels" / f"digest-{raw}" if root else None
    if known is not None and known.exists():
        return known.read_text()
    versions = f"{numba.__version__} {sys.version}"
    digest = hashlib.sha256(f"{versions} {meaning(sources)}".encode()).hexdigest()[:16]
    if known is not None:
        _keep(known, digest)
    return digest


def meaning(sources: dict[str, bytes]) -> str:
    """The statements of the modules that kernels are made of, by name. ``sources``: module to text."""
    trees = {name: ast.parse(text) for name, text in sources.items()}
    wanted: set[str] = set()
    found = [name for name, tree in trees.items() if any(map(_is_kernel, tree.body))]
    while found:
        name = found.pop()
        if name not in wanted:
            wanted.add(name)
            found += [each for each in _imported(trees[name]) if each in trees]
    return "\n".join(f"{name} {ast.dump(_without_docstrings(trees[name]))}" for name in sorted(wanted))


def _is_kernel(statement: ast.stmt) -> bool:
    return isinstance(statement, ast.FunctionDef) and any(
        isinstance(decorator, ast.Name) and decorator.id == "kernel" for decorator in statement.decorator_list
    )


def _imported(tree: ast.Module) -> Iterable[str]:
    """Modules of this package that a module imports, kernels' helpers among them."""
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and node.module == "detectors":
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and (node.module or "").startswith("detectors."):
            yield str(node.module).partition(".")[2]


def _without_docstrings(tree: ast.Module) -> ast.Module:
    for node in ast.walk(tree):
        body = getattr(node, "body", None)
        if isinstance(body, list):
            body[:] = [each for each in body if not _is_text(each)] or body[:1]
    return tree


def _is_text(statement: Any) -> bool:
    return isinstance(statement, ast.Expr) and isinstance(statement.value, ast.Constant)


def cache_root() -> Path | None:
    """Where compiled things are kept: ``RINGFENCE_CACHE_DIR``, else the user's cache; None without a home."""
    for variable, below in (("RINGFENCE_CACHE_DIR", "."), ("XDG_CACHE_HOME", "ringfence")):
        if value := os.environ.get(variable):
            return Path(value) / below
    try:
        return Path.home() / ".cache" / "ringfence"
    except RuntimeError:
        return None


def cache_directory() -> Path | None:
    """Where compiled kernels are kept; None without a home."""
    root = cache_root()
    return None if root is None else root / "kernels" / sources_digest()


def writable(directory: Path) -> bool:
    """Whether ``directory`` is there, or can be made, and can be written. It is marked as used now."""
    try:
        directory.mkdir(parents=True, exist_ok=True)
        os.utime(directory)
        with tempfile.TemporaryFile(dir=directory):
            return True
    except OSError:
        return False


def prune() -> list[Path]:
    """Removes the kernels of sources that nobody has used for long; what was removed."""
    root, now = cache_root(), time.time()
    if root is None or not (root / "kernels").is_dir():
        return []
    used = sorted(((path.stat().st_mtime, path) for path in (root / "kernels").iterdir()), reverse=True)
    directories = [(at, path) for at, path in used if path.is_dir()]
    old = [path for at, path in directories[KEPT:] if now - at > KEPT_S]
    old += [path for at, path in used if not path.is_dir() and now - at > 30 * KEPT_S]
    for path in old:
        if path.is_dir():
            shutil.rmtree(path, ignore_errors=True)
        else:
            path.unlink(missing_ok=True)
    return old


def _keep(file: Path, text: str) -> None:
    """Best effort: without it the digest is made anew at each start."""
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile("w", dir=file.parent, delete=False) as part:
            part.write(text)
        Path(part.name).replace(file)
    except OSError:
        return


class _Locator(UserProvidedCacheLocator):  # type: ignore[misc]
    """The directory says what its kernels were made of; a path, a line or a file's digest would only make the
    same kernel another one."""

    def __init__(self, function: Any, _file: str) -> None:
        self._cache_path = str(cache_directory())

    def get_source_stamp(self) -> str:
        return sources_digest()

    def get_disambiguator(self) -> str:
        return "kernel"

    @classmethod
    def from_function(cls, function: Any, file: str) -> _Locator:
        return cls(function, file)


class _Implementation(CompileResultCacheImpl):  # type: ignore[misc]
    _locator_classes = (_Locator,)


class KernelCache(FunctionCache):  # type: ignore[misc]
    """numba's cache of one function, in `cache_directory`."""

    _impl_class = _Implementation
