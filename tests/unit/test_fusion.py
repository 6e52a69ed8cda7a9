"""Findings of several detectors about one subject, and about the numbers of one block."""

from __future__ import annotations

from typing import Any, NamedTuple

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from config.settings import EvidenceSettings
from detectors import calibration
from detectors.alert import SEVERITIES, Alert, Evidence, Match, Proposal
from detectors.evidence import MOST_PROPOSALS, MOST_SAMPLES, Alerts
from detectors.fusion import FAMILIES, INDEPENDENT, MOST_EVIDENCE, independent
from detectors.registry import DETECTORS, feature_of, features_by_pattern
from detectors.shape import CRITICAL, HIGH, LOW, MEDIUM, Call, Finding, Signal, proposal
from detectors.signals import QUIET_MS
from tests.traffic import START

NUMBER = 8613800138000
PATTERN = {"burst": 0, "sweep": 1, "wangiri": 2, "misrouted": 3, "clone": 4, "policy": 5, "unknown": 6}


@pytest.fixture(autouse=True)
def as_stated(monkeypatch: pytest.MonkeyPatch) -> None:
    """Scores are believed, whatever the shipped calibration says."""
    monkeypatch.setattr(calibration, "tables", dict)


class Told(NamedTuple):
    """A detector that finds what the signal's features say."""

    name: str

    def describe(self, signal: Signal, call: Call) -> Finding | None:
        told: dict[str, Any] = dict(signal.features)
        subject = (
            ("block", f"+{call.caller // 10_000}*") if told.get("block") else ("number", f"+{call.caller}")
        )
        return Finding(
            subject_type=subject[0],  # type: ignore[arg-type]
            subject_value=subject[1],
            kind=f"{self.name}-kind",
            level=signal.level,
            score=told.get("score", 0.9),
            evidence=[Evidence("rate", 10, 1, 0.75), Evidence("span", 5, 1, 0.25)],
            message=f"{self.name} saw +{call.caller}",
            proposals=[a_proposal(call, told.get("trunk", self.name))]
            if signal.level >= HIGH or told.get("withhold")
            else [],
        )


def a_proposal(call: Call, trunk: str | None) -> Proposal:
    return proposal(Match(caller=f"+{call.caller}", trunk=trunk), 1, 1, 1)


class Book:
    """Open alerts and every version that they told."""

    def __init__(self, most: int = 100, **settings: Any) -> None:
        named = {pattern: Told(name) for name, pattern in PATTERN.items()}
        self.alerts = Alerts(named, "hash", most, EvidenceSettings(**settings))  # type: ignore[arg-type]
        self.told: list[Alert] = []

    def say(
        self,
        detector: str,
        level: int,
        after: int = 0,
        caller: int = NUMBER,
        calls: int = 1,
        opened: bool = False,
        **told: Any,
    ) -> Alert | None:
        signal = Signal(0, caller, 0, START + after, calls, PATTERN[detector], level, opened, told, None)
        call = Call(
            f"call-{caller}-{after}", caller, 8613911110000, "", "", "T", "CM", "CU", 0, 0, 0, "", 0, 0, 0
        )
        version = self.alerts.take(signal, call, "plan")
        if version is not None:
            self.told.append(version)
        return version

    @property
    def last(self) -> Alert:
        return self.told[-1]

    def newest(self) -> list[Alert]:
        return list({alert.alert_id: alert for alert in self.told}.values())


def callers(alert: Alert) -> list[str | None]:
    return [each.match.caller for each in alert.proposals]


class TestOneSubject:
    def test_two_detectors_have_one_alert_whose_id_stays(self) -> None:
        book = Book()
        book.say("burst", MEDIUM)
        opened = book.last
        book.say("sweep", HIGH, 1_000)
        assert [a.alert_id for a in book.told] == [opened.alert_id] * 2
        assert (opened.detector, book.last.detector, book.last.kind) == ("burst", "sweep", "sweep-kind")
        assert book.last.message == f"sweep saw +{NUMBER}"
        assert book.last.severity == "high"

    def test_of_equals_the_first_pattern_leads(self) -> None:
        book = Book()
        book.say("sweep", HIGH)
        book.say("burst", HIGH, 60_000)
        assert book.last.detector == "burst"
        assert [each.detector for each in book.last.findings] == ["burst", "sweep"]

    def test_the_same_calls_are_not_counted_by_each_detector(self) -> None:
        book = Book()
        book.say("burst", MEDIUM, calls=40, opened=True)
        book.say("sweep", MEDIUM, 1_000, calls=30, opened=True)
        book.say("burst", HIGH, 2_000, calls=5)
        book.say("sweep", CRITICAL, 3_000, calls=5)
        assert book.last.calls == 45

    def test_others_keep_their_share_of_the_evidence(self) -> None:
        book = Book()
        book.say("burst", HIGH, score=0.9)
        book.say("misrouted", MEDIUM, 60_000, score=0.75)
        evidence = {item.feature: item.weight for item in book.last.evidence}
        assert list(evidence) == ["rate", "span", "misrouted.rate", "misrouted.span"]
        assert sum(evidence.values()) == pytest.approx(1, abs=1e-3)
        assert evidence["rate"] == pytest.approx(2 * evidence["misrouted.rate"], rel=0.01)

    def test_its_evidence_is_bounded(self) -> None:
        book = Book()
        for name in PATTERN:
            book.say(name, HIGH)
        book.say("burst", HIGH, 60_000)
        assert len(book.last.evidence) <= MOST_EVIDENCE
        assert sum(item.weight for item in book.last.evidence) == pytest.approx(1, abs=2e-3)

    def test_a_proposal_says_whose_it_is(self) -> None:
        book = Book()
        book.say("burst", HIGH)
        book.say("sweep", HIGH, 6_000)
        made = [(each.detector, each.kind, each.relies_on) for each in book.last.proposals]
        assert made == [("burst", "burst-kind", ""), ("sweep", "sweep-kind", "")]

    def test_a_detector_that_speaks_often_does_not_mute_another(self) -> None:
        book = Book()
        for n in range(MOST_SAMPLES):
            book.say("burst", MEDIUM, n, calls=100)
            book.say("sweep", MEDIUM, n, calls=100)
        book.say("burst", MEDIUM, 5_100)
        assert book.alerts.absorb(PATTERN["burst"], NUMBER, START + 5_200, 1, MEDIUM)
        assert not book.alerts.absorb(PATTERN["sweep"], NUMBER, START + 5_200, 1, MEDIUM)


class TestAgreement:
    def agreed(self, one: str, other: str, level: int = MEDIUM, **told: Any) -> Alert:
        book = Book()
        book.say(one, level, withhold=True, **told)
        book.say(other, level, 60_000, withhold=True, **told)
        return book.last

    def test_two_independent_medium_findings_are_high_and_release_their_rules(self) -> None:
        alert = self.agreed("burst", "misrouted")
        assert alert.severity == "high"
        assert {(each.detector, each.relies_on) for each in alert.proposals} == {
            ("burst", "misrouted"),
            ("misrouted", "burst"),
        }
        assert [each.withheld for each in alert.findings] == [0, 0]

    def test_dependent_ones_stay_medium_and_withhold(self) -> None:
        for one, other in (("burst", "sweep"), ("burst", "wangiri"), ("misrouted", "clone")):
            alert = self.agreed(one, other)
            assert (alert.severity, alert.proposals) == ("medium", [])
            assert [each.withheld for each in alert.findings] == [1, 1]

    def test_a_detector_of_no_family_agrees_with_none(self) -> None:
        assert self.agreed("misrouted", "unknown").severity == "medium"

    def test_together_they_must_be_sure_enough(self) -> None:
        assert self.agreed("burst", "misrouted", score=0.82).severity == "high"
        assert self.agreed("burst", "misrouted", score=0.81).severity == "medium"

    def test_low_findings_never_rise(self) -> None:
        assert self.agreed("burst", "misrouted", LOW, score=0.99).severity == "low"

    def test_two_independent_high_ones_are_critical(self) -> None:
        assert self.agreed("burst", "misrouted", HIGH).severity == "critical"
        assert self.agreed("burst", "sweep", HIGH).severity == "high"

    def test_old_evidence_does_not_agree(self) -> None:
        book = Book()
        book.say("burst", MEDIUM)
        for minute in range(1, 11):
            book.say("unknown", MEDIUM, minute * 60_000)
        book.say("misrouted", MEDIUM, QUIET_MS + 1)
        assert book.last.severity == "medium"
        book.say("burst", MEDIUM, QUIET_MS + 2)
        assert book.last.severity == "high"

    def test_a_high_finding_releases_what_an_independent_one_withholds_and_nothing_else(self) -> None:
        book = Book()
        book.say("sweep", HIGH)
        book.say("burst", MEDIUM, 10_000, withhold=True)
        assert {each.detector for each in book.last.proposals} == {"sweep"}
        book = Book()
        book.say("sweep", HIGH)
        book.say("misrouted", MEDIUM, 10_000, withhold=True)
        assert {(each.detector, each.relies_on) for each in book.last.proposals} == {
            ("sweep", ""),
            ("misrouted", "sweep"),
        }

    def test_the_score_adds_independent_odds_and_no_others(self) -> None:
        assert self.agreed("burst", "misrouted", score=0.9).score == pytest.approx(81 / 82, abs=1e-3)
        assert self.agreed("burst", "sweep", score=0.9).score == pytest.approx(0.9, abs=1e-3)

    def test_what_is_against_abuse_is_not_counted_twice(self) -> None:
        book = Book()
        book.say("burst", HIGH, score=0.9)
        book.say("misrouted", MEDIUM, 60_000, score=0.1)
        assert book.last.score == pytest.approx(0.9, abs=1e-3)

    def test_calibration_is_applied(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(calibration, "tables", lambda: {"burst": ((-2.0, 2.0), (-1.0, 0.0))})
        book = Book()
        book.say("burst", HIGH, score=0.999)
        assert book.last.score == 0.5

    def test_every_detector_has_a_family_and_every_pair_a_reason(self) -> None:
        assert {detector.name for detector in DETECTORS} <= set(FAMILIES)
        named = set(FAMILIES.values())
        assert all(len(pair) == 2 and pair <= named for pair in INDEPENDENT)
        assert independent("burst", "clone")
        assert independent("clone", "burst")
        assert not independent("burst", "burst")


class TestBlock:
    def attack(self, numbers: int, book: Book | None = None, detector: str = "burst", **told: Any) -> Book:
        book = book or Book()
        for n in range(numbers):
            book.say(detector, HIGH, n * 10_000, NUMBER + n, calls=10, **told)
        return book

    def test_from_the_second_number_on_they_share_one_alert(self) -> None:
        book = self.attack(30)
        first, block = book.newest()
        assert first.subject.value == f"+{NUMBER}"
        assert (block.subject.type, block.subject.value) == ("block", "+861380013*")
        assert (block.detector, block.severity) == ("burst", "high")
        book.say("burst", HIGH, 400_000, NUMBER + 2, calls=1)
        assert book.last.calls == 291
        assert book.last.message.startswith(
            "29 more numbers of block +861380013* did as others of it had done."
        )

    def test_every_number_is_proposed_in_some_version_and_no_wider_match_is(self) -> None:
        book = Book()
        for n in range(60):
            book.say("burst", HIGH, n * 100, NUMBER + n)
        book.say("burst", HIGH, 70_000, NUMBER + 59)
        proposed = {caller for alert in book.told for caller in callers(alert)}
        assert proposed == {f"+{NUMBER + n}" for n in range(60)}
        assert all(len(alert.proposals) <= MOST_PROPOSALS for alert in book.told)
        assert len(book.told) < 20

    def test_each_rule_has_the_reason_of_its_own_number(self) -> None:
        block = self.attack(6).newest()[-1]
        assert [each.reason for each in block.proposals] == [
            f"burst saw {each.match.caller}" for each in block.proposals
        ]

    def test_numbers_found_by_unrelated_detectors_stay_apart(self) -> None:
        book = Book()
        for n, detector in enumerate(("burst", "misrouted", "policy")):
            book.say(detector, HIGH, n, NUMBER + n)
        assert [alert.subject.type for alert in book.newest()] == ["number"] * 3

    def test_numbers_of_different_blocks_stay_apart(self) -> None:
        book = Book()
        for n in range(5):
            book.say("burst", HIGH, n, NUMBER + n * 10_000)
        assert [alert.subject.type for alert in book.newest()] == ["number"] * 5

    def test_after_an_hour_they_stay_apart(self) -> None:
        book = Book()
        for n in range(4):
            book.say("burst", HIGH, n * 3_600_001, NUMBER + n)
        assert [alert.subject.type for alert in book.newest()] == ["number"] * 4

    def test_one_number_again_is_not_two(self) -> None:
        book = Book()
        for n in range(4):
            book.say("burst", HIGH, n * 1_800_001, NUMBER)
        assert [alert.subject.type for alert in book.newest()] == ["number"] * 4

    def test_short_numbers_beside_each_other_are_different_services(self) -> None:
        book = Book()
        for n in range(4):
            book.say("burst", HIGH, n, 86_952_100 + n)
        assert [alert.subject.type for alert in book.newest()] == ["number"] * 4

    def test_findings_about_different_numbers_do_not_agree(self) -> None:
        book = Book()
        for n in range(6):
            book.say("burst", MEDIUM, n, NUMBER + n, withhold=True)
        for n in range(6):
            book.say("misrouted", MEDIUM, 100 + n, NUMBER + 100 + n, withhold=True)
        book.say("burst", MEDIUM, 60_100, NUMBER + 5)
        assert {alert.severity for alert in book.told} == {"medium"}
        assert not any(alert.proposals for alert in book.told)
        assert all(alert.score == 0.9 for alert in book.told)

    def test_findings_about_one_number_of_it_do(self) -> None:
        book = Book()
        for n in range(6):
            book.say("burst", MEDIUM, n, NUMBER + n, withhold=True)
        book.say("misrouted", MEDIUM, 100, NUMBER + 5, withhold=True)
        assert (book.last.subject.type, book.last.severity) == ("block", "high")
        assert set(callers(book.last)) == {f"+{NUMBER + 5}"}

    def test_a_number_does_not_agree_with_what_is_said_of_the_block(self) -> None:
        book = Book()
        book.say("misrouted", MEDIUM, block=True, withhold=True)
        for n in range(6):
            book.say("burst", MEDIUM, n, NUMBER + n, withhold=True)
        book.say("misrouted", MEDIUM, 60_100, block=True, withhold=True)
        assert book.last.subject.type == "block"
        assert {each.detector for each in book.last.findings} == {"misrouted", "burst"}
        assert (book.last.severity, book.last.proposals) == ("medium", [])

    def test_what_is_said_of_the_block_and_of_its_numbers_is_one_alert(self) -> None:
        book = self.attack(4)
        book.say("sweep", CRITICAL, 50_000, block=True, calls=7)
        assert len(book.newest()) == 2
        assert (book.last.detector, book.last.calls) == ("sweep", 30)

    def test_the_blocks_alert_tells_of_its_numbers(self) -> None:
        book = self.attack(4, trunk=None)
        late = START + 40_000
        assert book.alerts.told_of_block(861380013, late) == HIGH
        assert book.alerts.told_of_number(NUMBER + 3, late) == HIGH
        assert book.alerts.told_of_number(NUMBER + 9, late) == MEDIUM, "its own calls are not proposed"

    def test_a_signal_of_a_number_that_only_adds_calls_is_absorbed(self) -> None:
        book = self.attack(8)
        for n in range(MOST_SAMPLES):
            book.say("burst", HIGH, 100_000 + n, NUMBER + 5, calls=100)
        before = len(book.told)
        assert book.alerts.absorb(0, NUMBER + 5, START + 101_000, 7, HIGH)
        assert len(book.told) == before
        book.say("burst", HIGH, 200_000, NUMBER + 5, calls=1)
        assert book.last.calls == 70 + 500 + 7 + 1

    @pytest.mark.parametrize("most", [1, 2, 3])
    def test_the_bound_holds_with_members(self, most: int) -> None:
        book = self.attack(20, Book(most=most))
        assert len(book.alerts) <= most


events = st.lists(
    st.tuples(
        st.sampled_from(sorted(PATTERN)),
        st.sampled_from([LOW, MEDIUM, HIGH, CRITICAL]),
        st.sampled_from([0, 1, 4_999, 5_000, 59_000, QUIET_MS, QUIET_MS + 1]),
        st.sampled_from([NUMBER + n for n in (0, 1, 2, 3, 4, 10_000)]),
        st.integers(0, 50),
        st.booleans(),
    ),
    max_size=60,
)


@given(events)
def test_whatever_comes_an_alert_only_grows(story: list[tuple[str, int, int, int, int, bool]]) -> None:
    book = Book(most=4)
    now, kept = 0, []
    for detector, level, after, caller, calls, block in story:
        now += after
        version = book.say(detector, level, now, caller, calls, block=block, withhold=True, score=0.9)
        if version is not None:
            kept.append((version, msgspec.json.encode(version)))
    newest: dict[str, Alert] = {}
    for version, written in kept:
        assert msgspec.json.encode(version) == written
        before = newest.get(version.alert_id)
        if before is not None and version.version > before.version:
            assert SEVERITIES.index(version.severity) >= SEVERITIES.index(before.severity)
            assert version.calls >= before.calls
            assert version.last_seen >= before.last_seen
        newest[version.alert_id] = version
        assert len(version.proposals) <= MOST_PROPOSALS
        assert sum(item.weight for item in version.evidence) == pytest.approx(1, abs=2e-3)
        assert 0 <= version.score <= 1
        assert version.findings[0].detector == version.detector
        if version.severity in ("info", "low", "medium"):
            assert version.proposals == []


def test_open_alerts_are_plain_data() -> None:
    book = TestBlock().attack(5)
    for held in book.alerts._open.values():
        written = msgspec.json.encode(held)
        assert msgspec.json.decode(written, type=type(held)) == held


class TestRegistry:
    def test_every_pattern_belongs_to_one_detector(self) -> None:
        patterns = [pattern for detector in DETECTORS for pattern in detector.patterns]
        assert len(patterns) == len(set(patterns)) == len(features_by_pattern())

    def test_a_feature_is_found_by_its_name_in_an_alert(self) -> None:
        for name in ("fan_out", "calls_10m", "prefixes"):
            assert feature_of("burst", name) is feature_of("flood", f"burst.{name}") is not None
        assert feature_of("burst", "nonsense") is None
        assert feature_of("nobody", "calls_10m") is None
