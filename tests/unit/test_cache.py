"""Kernels are compiled once for one meaning of their sources, and old ones go."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from detectors import cache

HERE = Path(cache.__file__).parent
SOURCES = {path.stem: path.read_bytes() for path in HERE.glob("*.py")}


def changed(module: str, old: bytes, new: bytes) -> str:
    assert old in SOURCES[module], f"{module} has no {old!r} any more"
    return cache.meaning(SOURCES | {module: SOURCES[module].replace(old, new)})


def test_another_statement_means_other_kernels() -> None:
    before = cache.meaning(SOURCES)
    assert changed("windows", b"BRIEF_TALK_MS = ", b"BRIEF_TALK_MS = 1 + ") != before
    assert changed("kernels", b"np.uint64(27)", b"np.uint64(28)") != before


def test_what_cannot_change_a_kernel_does_not_compile_it_anew() -> None:
    before = cache.meaning(SOURCES)
    assert cache.meaning(SOURCES | {"windows": b"# a comment\n\n\n" + SOURCES["windows"]}) == before
    assert changed("kernels", b'"""The one way a function', b'"""A way a function') == before
    assert changed("reputation", b"AdaGrad(0.1)", b"AdaGrad(0.2)") == before
    assert cache.meaning(SOURCES | {"new": b"NOTHING = 1"}) == before


def test_every_module_of_a_kernel_counts() -> None:
    named = {line.split(" ", 1)[0] for line in cache.meaning(SOURCES).splitlines()}
    assert named >= {
        "fold",
        "burst",
        "windows",
        "sketches",
        "subjects",
        "kernels",
        "plan",
        "numbering",
        "lists",
    }
    assert "registry" not in named


def test_a_copy_elsewhere_finds_the_same_kernels(tmp_path: Path) -> None:
    package = tmp_path / "detectors"
    package.mkdir()
    for name, text in SOURCES.items():
        (package / f"{name}.py").write_bytes(text)
    code = "from detectors import cache as k; print(k.sources_digest(), k.cache_directory())"
    environment = os.environ | {"RINGFENCE_CACHE_DIR": str(tmp_path / "cache"), "PYTHONPATH": str(tmp_path)}

    def told() -> list[str]:
        done = subprocess.run(
            [sys.executable, "-c", code],
            cwd=tmp_path, env=environment, check=True, capture_output=True, text=True,
        )  # fmt: skip
        return done.stdout.split()

    here = cache.sources_digest()
    assert told() == [here, str(tmp_path / "cache" / "kernels" / here)]
    assert told()[0] == here
    with (package / "windows.py").open("a") as source:
        source.write("CHANGED = 1\n")
    assert told()[0] != here


def test_kernels_of_sources_that_nobody_uses_are_removed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RINGFENCE_CACHE_DIR", str(tmp_path))
    now = cache.time.time()
    for days in range(8):
        kept = tmp_path / "kernels" / f"used-{days}-days-ago"
        kept.mkdir(parents=True)
        (kept / "fold.nbi").write_bytes(b"x")
        os.utime(kept, (now - days * 86_400 - 60,) * 2)
    assert {path.name for path in cache.prune()} == {f"used-{days}-days-ago" for days in (4, 5, 6, 7)}
    assert len(list((tmp_path / "kernels").iterdir())) == cache.KEPT
    assert cache.prune() == []


def test_what_is_in_use_is_kept_however_many_there_are(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RINGFENCE_CACHE_DIR", str(tmp_path))
    for number in range(2 * cache.KEPT):
        assert cache.writable(tmp_path / "kernels" / str(number))
    assert cache.prune() == []


def test_a_role_loads_nothing_that_only_another_needs() -> None:
    code = (
        "import streams.app, streams.detect.runner, sys; print(*{'river', 'scipy.stats'} & set(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    assert done.stdout.strip() == "set()"
