"""`reputation`: it learns from labels when they come, and says nothing before it has earned it."""

from __future__ import annotations

import random

import pytest

from config.settings import DetectorsSettings, ReputationSettings, Settings
from detectors.alert import Alert
from detectors.reputation import VECTORS_A_SUBJECT, Reputation, lower_bound, vector_from
from streams.profile.models import Models
from streams.wire.records import Command, Lesson, decode, encode
from tests.candidates import ORDINARY, START, TELEMARKETER, Habit, candidate, features

HOUR = 3_600_000
GRUMBLER = Habit(answered=0.45, brief=0.6, short=0.1, refused=0.12, inbound=0.02, unique=1.0)
"""Bad, and not so bad that `behaviour` would say so."""
QUICK = Settings(
    detectors=DetectorsSettings(
        reputation=ReputationSettings(least_labels=20, suspect_precision=0.5, precision=0.8, threshold=0.8)
    )
)


def command(what: str, about: str, /, at: int, who: str = "li.wei", **details: str) -> Command:
    return Command(f"{what}/{about}/{at}/{who}", who, at, what, about, "", details)  # type: ignore[arg-type]


class Desk:
    """Candidates and people's labels on them, in order."""

    def __init__(self, settings: Settings = QUICK, seed: int = 1) -> None:
        self.models = Models(settings)
        self.lessons: list[Lesson] = []
        self.draw = random.Random(seed)
        self.time = START
        self.offset = 0

    def sees(self, habit: Habit, number: int, calls: int = 40) -> list[Alert]:
        self.time += 5_000
        self.offset += 1
        told = candidate(self.draw, habit, number, self.time, calls, offset=self.offset)
        return self.models.candidate(told)

    def hears(self, given: Command) -> list[Lesson]:
        found = self.models.command(given)
        for lesson in found:
            self.lessons.append(lesson)
            self.models.learn(lesson)
        return found

    def says(self, number: int, verdict: str) -> list[Lesson]:
        return self.hears(command("verdict", f"+{number}", self.time, verdict=verdict))

    def taught(self, subjects: int) -> Desk:
        """Ordinary and abusive subjects in turn, each labelled soon after it was seen."""
        for n in range(subjects):
            abusive = n % 2 == 1
            self.sees(TELEMARKETER if abusive else ORDINARY[n // 2 % len(ORDINARY)], 1_000_000 + n)
            self.says(1_000_000 + n, "malicious" if abusive else "legitimate")
        return self


def named(alerts: list[Alert]) -> set[str]:
    return {finding.detector for alert in alerts for finding in alert.findings}


def test_a_fresh_model_says_nothing() -> None:
    desk = Desk()
    assert "reputation" not in named([a for n in range(100) for a in desk.sees(TELEMARKETER, n + 1)])


def test_what_nobody_labels_is_never_learnt() -> None:
    desk = Desk()
    for n in range(100):
        desk.sees(TELEMARKETER, n + 1)
    assert desk.models.labels == {True: 0, False: 0}


def test_it_names_what_people_found_malicious_once_it_is_proven() -> None:
    desk = Desk().taught(160)
    alerts = desk.sees(GRUMBLER, 77, 200) + desk.sees(TELEMARKETER, 78, 200)
    assert "reputation" in named(alerts)
    assert desk.models.labels == {True: 80, False: 80}


@pytest.mark.parametrize("habit", ORDINARY)
def test_a_proven_model_leaves_ordinary_callers_alone(habit: Habit) -> None:
    desk = Desk().taught(160)
    assert not [alert for n in range(60) for alert in desk.sees(habit, 500 + n, 60)]


def test_a_model_that_names_the_innocent_keeps_silent() -> None:
    """Its labels are tossed: whatever it predicts is wrong half of the time."""
    desk = Desk()
    for n in range(300):
        desk.sees(TELEMARKETER, n + 1)
        desk.says(n + 1, desk.draw.choice(("malicious", "legitimate")))
    assert "reputation" not in named(desk.sees(TELEMARKETER, 999, 200))


def test_it_never_proposes_where_the_days_calls_speak_for_the_caller() -> None:
    reputation = Desk().taught(160).models._reputation
    f = features(random.Random(1), TELEMARKETER, 100)
    assert reputation.judge("a", "+1", START, f, odds=5.0).level == 4
    assert reputation.judge("b", "+1", START, f, odds=-5.0).level == 3


def test_a_label_that_comes_hours_later_teaches_the_vectors_of_then() -> None:
    desk = Desk()
    desk.sees(TELEMARKETER, 7, 40)
    (lesson,) = desk.hears(command("verdict", "+7", desk.time + 30 * HOUR, verdict="malicious"))
    assert len(lesson.vectors) == 1
    assert lesson.predicted == [-1.0], "there was no model yet when it came"
    assert desk.hears(command("verdict", "+7", desk.time + 40 * HOUR, verdict="malicious")) == []


def test_a_subject_teaches_its_newest_vectors_only() -> None:
    desk = Desk()
    for calls in range(20, 30):
        desk.sees(TELEMARKETER, 7, calls)
    (lesson,) = desk.says(7, "malicious")
    assert len(lesson.vectors) == VECTORS_A_SUBJECT
    assert desk.models.labels[True] == 1, "one label, however many vectors"


def test_a_verdict_on_an_alert_is_one_on_its_subject() -> None:
    desk = Desk()
    for n in range(400):
        desk.sees(ORDINARY[n % 4], 10_000 + n)
    (alert,) = desk.sees(TELEMARKETER, 7, 200)
    (lesson,) = desk.hears(command("verdict", alert.alert_id, desk.time, verdict="malicious"))
    assert lesson.subject == "+7"
    (other,) = desk.hears(command("verdict", "ab", desk.time, verdict="legitimate", subject="+7"))
    assert other.subject == "+7"


def test_several_people_must_complain() -> None:
    desk = Desk()
    desk.sees(TELEMARKETER, 7)
    assert desk.hears(command("complaint", "+7", desk.time, "a")) == []
    assert desk.hears(command("complaint", "+7", desk.time + 1, "a")) == [], "the same one again"
    assert desk.hears(command("complaint", "+7", desk.time, "b")) == []
    (lesson,) = desk.hears(command("complaint", "+7", desk.time, "c", time=str(desk.time)))
    assert lesson.malicious
    assert desk.hears(command("complaint", "+7", desk.time, "d")) == [], "it is known by now"


@pytest.mark.parametrize("details", [{}, {"verdict": "perhaps"}])
def test_what_is_no_label_teaches_nothing(details: dict[str, str]) -> None:
    desk = Desk()
    desk.sees(TELEMARKETER, 7)
    assert desk.hears(command("verdict", "+7", desk.time, **details)) == []
    assert desk.hears(command("revoke", "+7", desk.time)) == []
    assert desk.hears(command("verdict", "+8", desk.time, verdict="malicious")) == []


def test_lessons_rebuild_the_model_exactly() -> None:
    desk = Desk().taught(120)
    rebuilt = Models(QUICK)
    for lesson in [*desk.lessons, *desk.lessons[-30:]]:
        rebuilt.learn(decode(encode(lesson), Lesson))
    assert rebuilt.labels == desk.models.labels
    f = features(random.Random(5), GRUMBLER, 80)
    ours, theirs = (
        models._reputation.judge("x", "+9", desk.time, f, 1.0) for models in (desk.models, rebuilt)
    )
    assert ours.probability == theirs.probability


def test_what_is_kept_is_bounded() -> None:
    reputation = Reputation(ReputationSettings(kept_vectors=10))
    for n in range(100):
        reputation.judge(str(n), f"+{n}", START, features(random.Random(n), TELEMARKETER, 20), 0.0)
        reputation.complain(f"+{n}", "a", START)
    assert reputation.waiting == 10


def test_the_bound_of_a_share_needs_many_to_be_high() -> None:
    assert lower_bound(0, 0) == 0
    assert lower_bound(10, 10) < 0.9 < lower_bound(100, 100) < 0.99 < lower_bound(300, 300)
    assert lower_bound(50, 100) < 0.5


def test_the_vector_is_finite_without_any_call() -> None:
    nothing = dict.fromkeys(features(random.Random(1), TELEMARKETER, 1), 0.0)
    assert all(abs(value) < 100 for value in vector_from(nothing).values())
