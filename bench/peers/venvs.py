"""A virtual environment for each peer, from its pinned requirements: they conflict with one another's."""

from __future__ import annotations

import hashlib
import subprocess
import sys
from pathlib import Path

REQUIREMENTS = Path(__file__).with_name("requirements")
MINUTES = 20


class Missing(Exception):
    """A system that cannot run here, and why."""


def python_of(venv: str, directory: Path) -> str:
    """The interpreter of a peer's environment, which is made where it is not there. Raises Missing."""
    if not venv:
        return sys.executable
    requirements = REQUIREMENTS / f"{venv}.txt"
    wanted = hashlib.sha256(requirements.read_bytes()).hexdigest()
    place = directory / venv
    installed = place / ".installed"
    python = str(place / "bin" / "python")
    if installed.exists() and installed.read_text() == wanted:
        return python
    print(f"installing {requirements.name}", file=sys.stderr, flush=True)
    install = [python, "-m", "pip", "install", "--quiet", "--require-hashes", "-r", str(requirements)]
    for command in ([sys.executable, "-m", "venv", "--clear", str(place)], install):
        try:
            done = subprocess.run(command, capture_output=True, text=True, timeout=60 * MINUTES, check=False)
        except subprocess.TimeoutExpired:
            raise Missing(f"installing {requirements.name} took more than {MINUTES} minutes") from None
        if done.returncode:
            raise Missing(f"{requirements.name} cannot be installed: {done.stderr.strip().splitlines()[-1]}")
    installed.write_text(wanted)
    return python
