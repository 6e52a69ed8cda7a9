"""``python -m bench [NAME…]``: runs every measurement of this package, or those named, one after another.

``pictures`` measures nothing: it draws the pictures of the detectors' pages. ``peers`` installs other stream
processors first: `make bench-peers`."""

from __future__ import annotations

import pkgutil
import subprocess
import sys

import bench

NOT_MEASUREMENTS = {"__main__", "candidates", "capacity", "load", "report", "scene"}
ON_REQUEST = {"peers", "pictures", "storm"}
"""Run only where they are named."""


def measurements() -> list[str]:
    return [
        module.name for module in pkgutil.iter_modules(bench.__path__) if module.name not in NOT_MEASUREMENTS
    ]


def main(asked: list[str]) -> int:
    known = measurements()
    unknown = [name for name in asked if name not in known]
    if unknown:
        print(f"no measurement is called {unknown[0]}; there are: {', '.join(known)}", file=sys.stderr)
        return 2
    failed = []
    for name in asked or [name for name in known if name not in ON_REQUEST]:
        print(f"== {name}", file=sys.stderr, flush=True)
        if subprocess.run([sys.executable, "-m", f"bench.{name}"], check=False).returncode:
            failed.append(name)
    if failed:
        print(f"failed: {', '.join(failed)}", file=sys.stderr)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
