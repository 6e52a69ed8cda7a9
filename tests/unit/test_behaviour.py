"""`behaviour`: who stands out, who is proposed, and who is left alone."""

from __future__ import annotations

import random
from collections.abc import Iterable
from functools import cache
from typing import Any

import pytest

from config.settings import BehaviourSettings, DetectorsSettings, Settings
from detectors.alert import Alert
from detectors.behaviour import LEAST_PEERS, MEMORY_MS, SHARES, SLOT_MS, Behaviour, Judge, vector_of
from detectors.shape import HIGH, MEDIUM
from streams.profile.models import QUIET_MS, Models
from streams.wire.candidates import Candidate, Candidates
from tests.candidates import (
    CALL_CENTRE,
    COURIER,
    MISSED_CALL,
    NOTIFIER,
    ORDINARY,
    PERSON,
    START,
    TELEMARKETER,
    Habit,
    candidate,
    features,
    ordinary,
    told,
)

SILENT = Habit(answered=0.7, brief=0.95, short=0.9, refused=0.05, inbound=0.0, unique=1.0)
"""Calls that are answered and say nothing."""
LATER = START + 3_700_000
ABUSER = 8617001230007


def fed(candidates: Iterable[Candidate], chosen: Settings | None = None) -> list[Alert]:
    models = Models(chosen or Settings())
    return [alert for each in candidates for alert in models.candidate(each)]


@cache
def peers() -> tuple[Candidate, ...]:
    return tuple(ordinary(1, 1_200))


def after_peers(habit: Habit, calls: Iterable[int], seed: int = 1, **given: Any) -> list[Alert]:
    """Alerts about one subject of ``habit`` that is told at these counts after an hour of ordinary ones."""
    draw = random.Random(seed)
    told = [
        candidate(draw, habit, ABUSER, LATER + 300_000 * n, count, offset=5_000 + n, **given)
        for n, count in enumerate(calls)
    ]
    return fed([*peers(), *told])


def test_ordinary_callers_give_no_alert() -> None:
    assert fed(peers()) == []


def test_nothing_gives_nothing() -> None:
    assert fed([]) == []


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("habit", [TELEMARKETER, SILENT], ids=["telemarketing", "silent calls"])
def test_a_campaign_is_proposed_as_it_grows(habit: Habit, seed: int) -> None:
    alerts = after_peers(habit, (13, 20, 30, 45, 70, 100, 150, 225), seed)
    last = alerts[-1]
    assert len({alert.alert_id for alert in alerts}) == 1
    assert (last.detector, last.severity, last.subject.value) == ("behaviour", "high", f"+{ABUSER}")
    assert [proposal.match.caller for proposal in last.proposals] == [f"+{ABUSER}"]
    assert last.proposals[0].blast_radius.calls_24h == 225
    assert sum(e.weight for e in last.evidence) == pytest.approx(1, abs=0.01)
    assert last.message.startswith(f"+{ABUSER} made 225 calls to 225 numbers")


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("habit", ORDINARY, ids=["person", "courier", "call centre", "notifier"])
def test_ordinary_habits_are_left_alone_however_busy(habit: Habit, seed: int) -> None:
    assert after_peers(habit, (13, 60, 300, 1_000), seed) == []


def test_verification_by_a_missed_call_is_not_its_business() -> None:
    assert not [a for a in after_peers(MISSED_CALL, (13, 60, 300)) if a.proposals]


def test_few_calls_propose_nothing() -> None:
    draw = random.Random(1)
    worst = candidate(draw, TELEMARKETER, ABUSER, LATER, 9, offset=5_000)
    assert not [alert for alert in fed([*peers(), worst]) if alert.proposals]


def test_redials_of_few_callees_and_outages_are_not_compared() -> None:
    behaviour = Behaviour(BehaviourSettings())
    f = features(random.Random(1), TELEMARKETER, 100)
    assert behaviour.judge("a", "number", "+1", START, f) is not None
    assert behaviour.judge("b", "number", "+1", START, f | {"callees": 20.0}) is None
    assert behaviour.judge("c", "number", "+1", START, f | {"failed": 60.0}) is None
    assert behaviour.judge("d", "number", "+1", START, f | {"ends": 3.0}) is None


def test_one_kind_of_evidence_alone_never_proposes() -> None:
    judge, s = Judge(BehaviourSettings()), BehaviourSettings()
    nobody_answers = Habit(answered=0.02, refused=0.02, inbound=0.0, unique=1.0)
    f = features(random.Random(3), nobody_answers, 400)
    odds = judge(f, 0.0)
    assert odds.unwanted < 0
    assert odds.reciprocity == 0
    behaviour = Behaviour(s)
    verdict = behaviour.judge("a", "number", "+1", START, f)
    assert verdict is not None
    assert verdict.level < HIGH


def test_without_calls_to_anybody_their_absence_says_nothing() -> None:
    f = features(random.Random(3), TELEMARKETER, 100)
    assert Judge(BehaviourSettings())(f, 0.0).reciprocity == 0
    assert Judge(BehaviourSettings())(f, 0.1).reciprocity > 0
    assert Judge(BehaviourSettings())(f | {"inbound": 30.0}, 0.1).reciprocity < 0


def test_what_an_alert_of_detect_tells_of_is_told_once() -> None:
    counts = (13, 20, 30, 45, 70, 100, 150, 225)
    assert {alert.severity for alert in after_peers(TELEMARKETER, counts)} == {"medium", "high"}
    assert {alert.severity for alert in after_peers(TELEMARKETER, counts, told=MEDIUM)} == {"high"}
    assert after_peers(TELEMARKETER, counts, told=HIGH) == []


def test_a_block_is_never_proposed() -> None:
    alerts = after_peers(TELEMARKETER, (30, 60, 120), subject_type="block", subject="+861700123*")
    assert alerts
    assert alerts[-1].subject.type == "block"
    assert all(alert.severity == "medium" and not alert.proposals for alert in alerts)


def test_a_text_is_blocked_on_its_trunk_only() -> None:
    alerts = after_peers(TELEMARKETER, (30, 60, 120), subject="pbx-7")
    (proposal,) = alerts[-1].proposals
    assert (proposal.match.caller, proposal.match.trunk) == ("pbx-7", "CM-CU-1")


def test_who_stands_out_is_not_said_before_there_are_peers() -> None:
    behaviour = Behaviour(BehaviourSettings())
    few = ordinary(1, LEAST_PEERS - 10)
    for each in few:
        verdict = behaviour.judge(each.candidate_id, "number", each.subject, each.time, each.features)
        assert verdict is None or verdict.score == 0.0


def test_the_score_rises_with_abuse() -> None:
    behaviour = Behaviour(BehaviourSettings())
    for each in peers():
        behaviour.judge(each.candidate_id, "number", each.subject, each.time, each.features)
    scores = []
    for n, habit in enumerate((PERSON, CALL_CENTRE, TELEMARKETER)):
        f = features(random.Random(7), habit, 100)
        verdict = behaviour.judge(f"x{n}", "number", f"+{n}", LATER, f)
        assert verdict is not None
        scores.append(verdict.score)
    assert scores == sorted(scores)
    assert scores[0] < len(SHARES) * 1.5 < scores[2]


@pytest.mark.parametrize("seed", range(4))
def test_the_order_within_half_a_minute_does_not_matter(seed: int) -> None:
    """Partitions of `frames` are not in step with each other."""
    draw = random.Random(seed)
    told = [
        candidate(random.Random(n), TELEMARKETER, ABUSER + n, LATER + 20_000 * n, 60, offset=9_000 + n)
        for n in range(5)
    ]
    stream = [*peers(), *told]
    jittered = sorted(stream, key=lambda c: (c.time + draw.randrange(SLOT_MS // 2), c.candidate_id))
    assert sorted(_levels(stream)) == sorted(_levels(jittered))


def _levels(stream: Iterable[Candidate]) -> list[tuple[str, int, float]]:
    behaviour = Behaviour(BehaviourSettings())
    found = []
    for each in stream:
        verdict = behaviour.judge(each.candidate_id, "number", each.subject, each.time, each.features)
        if verdict is not None:
            found.append((each.candidate_id, verdict.level, round(verdict.score, 9)))
    return found


def test_what_is_folded_in_twice_counts_once() -> None:
    stream = told(peers())
    last = told(
        candidate(random.Random(n), TELEMARKETER, ABUSER, LATER + 300_000 * n, 40 + 20 * n, offset=5_000 + n)
        for n in range(4)
    )

    def alerts_of(models: Models, records: Iterable[Candidates]) -> list[Alert]:
        return [alert for record in records for alert in models.told(record)]

    once = alerts_of(Models(Settings()), [*stream, *last])
    assert once
    models = Models(Settings())
    assert alerts_of(models, [*stream, *last[:2], *last[:2], *stream[-50:], *last[2:]]) == once
    assert models.repeated == 52


def test_a_rebuild_from_the_look_back_judges_alike() -> None:
    long_ago = ordinary(2, 600, start=START - 3 * MEMORY_MS)
    before = ordinary(3, 900, start=START - MEMORY_MS, seconds=MEMORY_MS // 1_000)
    recent = list(peers())
    everything = [*long_ago, *before, *recent]
    whole, rebuilt = _levels(everything), _levels([*before, *recent])
    assert whole[-len(recent) :] == rebuilt[-len(recent) :]


def test_a_clock_jump_does_no_harm() -> None:
    jump = candidate(random.Random(1), COURIER, 5, LATER + 400 * 86_400_000, 30, offset=4_000)
    later = ordinary(4, 300, start=LATER)
    alerts = fed([*peers(), jump, *later])
    undisturbed = fed([*peers(), *later])
    assert [(a.alert_id, a.severity) for a in alerts] == [(a.alert_id, a.severity) for a in undisturbed]
    assert all(not alert.proposals for alert in alerts)


def test_a_subject_that_was_quiet_for_long_opens_another_alert() -> None:
    draw = random.Random(1)
    told = [
        candidate(draw, TELEMARKETER, ABUSER, LATER + gap, 100, offset=5_000 + n)
        for n, gap in enumerate((0, QUIET_MS, 2 * QUIET_MS + 700_000))
    ]
    assert len({alert.alert_id for alert in fed([*peers(), *told])}) == 2


def test_off_says_nothing() -> None:
    off = Settings(detectors=DetectorsSettings(behaviour=BehaviourSettings(mode="off")))
    told = candidate(random.Random(1), TELEMARKETER, ABUSER, LATER, 200, offset=5_000)
    assert fed([*peers(), told], off) == []


def test_the_vector_holds_shares_drawn_to_the_ordinary() -> None:
    nothing = dict.fromkeys(features(random.Random(1), NOTIFIER, 1), 0.0)
    assert vector_of(nothing).tolist() == pytest.approx([share.usual for share in SHARES])
