"""Running `detect` over events and looking at what came of it."""

from __future__ import annotations

from collections.abc import Iterable

from config.settings import DetectorsSettings, Settings
from detectors.alert import Alert, Match
from streams.detect.step import Detect
from tests.folding import ROOMY
from tests.traffic import FakePlan, Row, frame_of


def detector(plan: FakePlan | None = None) -> Detect:
    return Detect(0, Settings(detect=ROOMY), plan or FakePlan())


def only(name: str) -> Detect:
    """With every other detector off."""
    off = {other: {"mode": "off"} for other in DetectorsSettings.model_fields if other != name}
    return Detect(0, Settings(detect=ROOMY, detectors=DetectorsSettings.model_validate(off)), FakePlan())


def alerts_of(events: Iterable[Row], plan: FakePlan | None = None, step: Detect | None = None) -> list[Alert]:
    """The last version of each alert, in order of their first."""
    found = (step or detector(plan))(frame_of(events), 0)
    return list({alert.alert_id: alert for alert in found.alerts}.values())


def proposed(alerts: Iterable[Alert]) -> list[Match]:
    return [proposal.match for alert in alerts for proposal in alert.proposals]
