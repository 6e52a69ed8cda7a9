"""For each detector a stream of calls that makes it speak: what the checks of every detector start from."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

from config.settings import DetectSettings
from detectors.alert import Alert
from streams.detect.step import Detect
from streams.wire.records import ListEntry
from tests.folding import SMALL, settings_with
from tests.suspects import ringing, sweeping
from tests.traffic import START, FakePlan, Row, call, dialler, frame_of, in_time
from tests.unit import test_clone as clone
from tests.unit import test_flood as flood
from tests.unit import test_foreign_gateway as foreign_gateway
from tests.unit import test_misrouted as misrouted
from tests.unit import test_neighbour as neighbour
from tests.unit import test_policy as policy
from tests.unit import test_rotation as rotation
from tests.unit import test_unallocated as unallocated

ROBOT = [None] * 8 + [3_000, 9_000]
PLAN = FakePlan(8617)


class Speaking(NamedTuple):
    """Events in the order of their times, and what lists say."""

    events: list[Row]
    lists: Sequence[ListEntry] = ()


def _neighbour() -> Speaking:
    return Speaking(
        in_time(neighbour.ordinary(1, 600), neighbour.spoofed(30, neighbour.scattered(100), 2_000))
    )


SPEAKING: dict[str, Callable[[], Speaking]] = {
    "burst": lambda: Speaking(dialler(8613812345678, 80, 400, ROBOT)),
    "rotation": lambda: Speaking(rotation.rotation(calls=3)),
    "flood": lambda: Speaking(flood.bombing([8613700000001, 8615900000002, 8618600000003], 100)),
    "unallocated": lambda: Speaking(
        unallocated.calls_by(*(unallocated.GHOST + n * 37 for n in range(10)), unallocated.GHOST)
    ),
    "policy": lambda: Speaking(
        policy.calls(policy.CALLER, policy.PEOPLE[:20], every_ms=2_000), policy.refusals(policy.PEOPLE[:20])
    ),
    "misrouted": lambda: Speaking(in_time(misrouted.ordinary(1, 800), misrouted.spoofed(30))),
    "foreign_gateway": lambda: Speaking(
        in_time(foreign_gateway.ordinary(1, 800), foreign_gateway.spoofed(30))
    ),
    "neighbour": _neighbour,
    "clone": lambda: Speaking(in_time(clone.at_home(), clone.elsewhere(120))),
    "sweep": lambda: Speaking(sweeping([8617001230042], 40, 900)),
    "wangiri": lambda: Speaking(ringing([95912345042], 40, 900)),
}


def quiet(start: int = START, name: str = "quiet") -> list[Row]:
    """Thirty people who call each other now and then for an hour, and mostly talk."""
    people = [8613900000000 + 1_234_567 * n for n in range(30)]
    talks = (None, 45_000, 90_000, 8_000, 200_000)
    rows: list[Row] = []
    for n in range(120):
        caller, callee = people[7 * n % 30], people[(7 * n + 1 + n % 5) % 30]
        rows += call(start + n * 30_000, caller, callee, f"{name}{n}", talks[n % 5])
    return in_time(rows)


def listening(lists: Sequence[ListEntry] = (), detect: DetectSettings = SMALL) -> Detect:
    """A partition with every detector on."""
    step = Detect(0, settings_with(detect=detect), PLAN)
    for number, entry in enumerate(lists):
        step.listed(str(number), entry)
    return step


def heard(events: Sequence[Row], lists: Sequence[ListEntry] = ()) -> list[Alert]:
    """Every version of every alert about ``events``, in the order they are given."""
    return listening(lists)(frame_of(events), 0).alerts


def of_detector(name: str, alerts: Sequence[Alert]) -> list[Alert]:
    """Those in which detector ``name`` has a say."""
    return [alert for alert in alerts if name in {finding.detector for finding in alert.findings}]
