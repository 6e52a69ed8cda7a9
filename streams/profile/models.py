"""The pure step of `profile` for candidates: `behaviour` and `reputation` on one subject, as one alert.

A fold over `candidates` and `lessons`: the same records in the same order give the same alerts. A label
(a command ``verdict`` or enough of ``complaint``) becomes a lesson on its own topic, with the vectors that
it teaches, because the candidates behind it are long gone when a worker must rebuild. Lessons are learnt only
when they are read from that topic, so that every rebuild learns exactly them.
"""

from __future__ import annotations

from collections import OrderedDict

from config.settings import Settings
from detectors import behaviour, reputation
from detectors.alert import Alert, content_id
from detectors.behaviour import Behaviour, features_of
from detectors.calls import NumberStatus, text_hash, text_number
from detectors.evidence import Alerts
from detectors.reputation import Reputation
from detectors.shape import BEHAVIOUR, BEHAVIOUR_BLOCK, REPUTATION, Call, Detector, Signal
from streams.profile.folded import Folded
from streams.wire.candidates import Candidate, Candidates
from streams.wire.records import Command, Lesson

QUIET_MS = 2 * 3_600_000
"""A slow campaign rests for half an hour and more between two calls."""
LOOKBACK_MS = behaviour.LOOKBACK_MS + QUIET_MS

VERDICTS = {"malicious": True, "legitimate": False}


class Models:
    """State of the one instance that folds `candidates`."""

    def __init__(self, settings: Settings) -> None:
        detectors = settings.detectors
        self._on = {
            "behaviour": detectors.behaviour.mode != "off",
            "reputation": detectors.reputation.mode != "off",
        }
        self._behaviour = Behaviour(detectors.behaviour)
        self._reputation = Reputation(detectors.reputation)
        named: dict[int, Detector] = {
            BEHAVIOUR: self._behaviour,
            BEHAVIOUR_BLOCK: self._behaviour,
            REPUTATION: self._reputation,
        }
        sections = (detectors.behaviour, detectors.reputation, settings.evidence)
        config_hash = content_id([section.model_dump(mode="json") for section in sections])[:16]
        most = self._most = settings.detect.open_alerts
        self._alerts = Alerts(named, config_hash, most, settings.evidence, QUIET_MS)
        self._told: OrderedDict[tuple[int, str], int] = OrderedDict()
        """Attempts of a subject when it was last signalled, by pattern and subject."""
        self._subject_of: OrderedDict[str, str] = OrderedDict()
        """By the id of an alert of ours."""
        self._folded = Folded()
        self._lessons: OrderedDict[str, None] = OrderedDict()
        self.candidates = 0
        self.repeated = 0

    @property
    def vectors(self) -> int:
        """Vectors that `behaviour` has judged."""
        return self._behaviour.vectors

    @property
    def labels(self) -> dict[bool, int]:
        """Labels that `reputation` has learnt from, by whether they were malicious."""
        return self._reputation.labels

    def told(self, candidates: Candidates) -> list[Alert]:
        """Folds in all candidates of a record of `frames`, unless they were before."""
        if not self._folded.add(candidates.partition, candidates.offset):
            self.repeated += candidates.columns.num_rows
            return []
        return [alert for candidate in candidates.rows() for alert in self.candidate(candidate)]

    def candidate(self, candidate: Candidate) -> list[Alert]:
        """Folds in a candidate; the versions of its subject's alert that are due. Where an alert of `detect`
        tells of the subject at that level already, there is no second one."""
        self.candidates += 1
        key, call = _key(candidate), _call(candidate)
        found = [self._by_behaviour(candidate, key, call)] if self._on["behaviour"] else []
        if self._on["reputation"]:
            odds = found[0][1] if found else 0.0
            found.append(self._by_reputation(candidate, key, call, odds))
        alerts = [alert for alert, _ in found if alert is not None]
        for alert in alerts:
            self._subject_of[alert.alert_id] = key
            self._subject_of.move_to_end(alert.alert_id)
        while len(self._subject_of) > self._most:
            self._subject_of.popitem(last=False)
        return alerts

    def command(self, command: Command) -> list[Lesson]:
        """The lesson that a verdict or a complaint is; none for other commands, or where nothing is kept."""
        if not self._on["reputation"]:
            return []
        key = self._subject_of.get(command.id, command.details.get("subject", command.id))
        if command.what == "complaint":
            time = command.details.get("time", "")
            at = int(time) if time.isascii() and time.isdigit() else command.at
            malicious = True
            if not self._reputation.complain(key, command.who, at):
                return []
        elif command.what == "verdict" and command.details.get("verdict") in VERDICTS:
            at, malicious = command.at, VERDICTS[command.details["verdict"]]
        else:
            return []
        found = self._reputation.lessons(key, malicious, at)
        if not found:
            return []
        return [
            Lesson(
                lesson_id=content_id(["lesson", command.command_id]),
                at=command.at,
                subject=key,
                malicious=malicious,
                vectors=[lesson.vector for lesson in found],
                predicted=[lesson.predicted for lesson in found],
                command_id=command.command_id,
            )
        ]

    def learn(self, lesson: Lesson) -> None:
        """Learns a lesson, once."""
        if lesson.lesson_id in self._lessons:
            return
        self._lessons[lesson.lesson_id] = None
        if len(self._lessons) > self._most:
            self._lessons.popitem(last=False)
        self._reputation.learn(
            reputation.Lesson(lesson.subject, lesson.malicious, vector, predicted)
            for vector, predicted in zip(lesson.vectors, lesson.predicted, strict=True)
        )

    def _by_behaviour(self, candidate: Candidate, key: str, call: Call) -> tuple[Alert | None, float]:
        f = candidate.features
        judged = self._behaviour.judge(candidate.candidate_id, candidate.subject_type, key, candidate.time, f)
        if judged is None:
            return None, 0.0
        if judged.level <= candidate.told:
            return None, judged.odds.sum
        pattern = BEHAVIOUR_BLOCK if candidate.subject_type == "block" else BEHAVIOUR
        signal = self._signal(candidate, key, pattern, judged.level, features_of(f, judged))
        return self._alerts.take(signal, call, ""), judged.odds.sum

    def _by_reputation(
        self, candidate: Candidate, key: str, call: Call, odds: float
    ) -> tuple[Alert | None, float]:
        f = candidate.features
        opinion = self._reputation.judge(candidate.candidate_id, key, candidate.time, f, odds)
        if opinion.level <= candidate.told:
            return None, odds
        features = {
            **f,
            "probability": opinion.probability,
            "precision": opinion.precision,
            "labels": float(sum(self.labels.values())),
            **{f"strength.{name}": strength for name, strength in opinion.strengths.items()},
        }
        signal = self._signal(candidate, key, REPUTATION, opinion.level, features)
        return self._alerts.take(signal, call, ""), odds

    def _signal(
        self, candidate: Candidate, key: str, pattern: int, level: int, features: dict[str, float]
    ) -> Signal:
        attempts = round(candidate.features["attempts"])
        new = max(attempts - self._told.pop((pattern, key), 0), 0)
        self._told[pattern, key] = attempts
        if len(self._told) > self._most:
            self._told.popitem(last=False)
        number = candidate.subject.strip("+*")
        return Signal(
            row=0,
            key=int(number) if number.isdigit() else text_hash(key),
            trunk=0,
            time=candidate.time,
            calls=new,
            pattern=pattern,
            level=level,
            opened=False,
            features=features,
            contacts=None,
        )


def _is_number(candidate: Candidate) -> bool:
    return candidate.subject.startswith("+") and candidate.subject[1:].isdigit()


def _key(candidate: Candidate) -> str:
    """What names the subject: a text means something only on its trunk."""
    if candidate.subject_type == "block" or _is_number(candidate):
        return candidate.subject
    return f"{candidate.subject}@{candidate.trunk}"


def _call(candidate: Candidate) -> Call:
    """The call that a candidate was told at, as far as the candidate tells."""
    number = _is_number(candidate)
    status = NumberStatus.ALLOCATED if number or candidate.subject_type == "block" else NumberStatus.TEXT
    return Call(
        call_id=candidate.call_id,
        caller=int(candidate.subject[1:]) if number else text_number(candidate.subject),
        callee=0,
        caller_text="" if number else candidate.subject,
        callee_text="",
        trunk=candidate.trunk,
        from_network=candidate.from_network,
        to_network=candidate.to_network,
        caller_status=int(status),
        callee_tail=0,
        caller_kind=candidate.kind,
        caller_operator=candidate.operator,
        gateway=0,
        roaming=2,
        redirecting=0,
    )
