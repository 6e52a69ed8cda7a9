"""The walls between packages: the contracts in pyproject.toml hold, and cover every role there is."""

from __future__ import annotations

import subprocess
import sys
import tomllib
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


def contracts() -> list[dict[str, object]]:
    return list(tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]["contracts"])


def lint_imports(tree: Path) -> subprocess.CompletedProcess[str]:
    program = Path(sys.executable).with_name("lint-imports")
    return subprocess.run(
        [program, "--no-cache", "--no-logo"], cwd=tree, capture_output=True, text=True, check=False
    )


def test_the_contracts_hold() -> None:
    ran = lint_imports(ROOT)
    assert ran.returncode == 0, ran.stdout
    assert f"{len(contracts())} kept, 0 broken" in ran.stdout


def test_every_role_is_kept_from_the_others() -> None:
    roles = {f"streams.{step.parent.name}" for step in (ROOT / "streams").glob("*/step.py")}
    (independent,) = (each for each in contracts() if each["type"] == "independence")
    assert isinstance(independent["modules"], list)
    assert roles <= set(independent["modules"])


def test_a_broken_wall_is_noticed(tmp_path: Path) -> None:
    (tmp_path / "pyproject.toml").write_text((ROOT / "pyproject.toml").read_text())
    for package in ("config", "console", "detectors", "streams"):
        (tmp_path / package).mkdir()
        (tmp_path / package / "__init__.py").write_text("")
    for role in ("ingest", "detect", "profile", "respond", "store"):
        (tmp_path / "streams" / role).mkdir()
        (tmp_path / "streams" / role / "__init__.py").write_text("")
    (tmp_path / "streams" / "detect" / "__init__.py").write_text("import streams.respond\n")
    (tmp_path / "detectors" / "__init__.py").write_text("import streams\n")
    ran = lint_imports(tmp_path)
    assert ran.returncode == 1
    assert "no role imports another BROKEN" in ran.stdout
    assert "detectors are pure: no streams, no console BROKEN" in ran.stdout
    assert "streams never imports console KEPT" in ran.stdout
