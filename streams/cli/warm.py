"""`ringfence warm`: what is compiled once is compiled now."""

from __future__ import annotations

import time

from streams.cli.context import load, tell


def warm_command() -> None:
    """Compile kernels and numbering plan into the cache, so that the next start is quick."""
    started = time.monotonic()
    tell("compiling kernels and the numbering plan (a minute or two the first time)")
    settings = load()
    from detectors.cache import prune
    from detectors.plan import NumberingPlan
    from streams.warming import warm

    warm(settings, NumberingPlan.load(settings.numbering))
    for old in prune():
        tell(f"removed {old}, which nobody has used for a day")
    tell(f"warm after {time.monotonic() - started:.0f} s")
