"""`ringfence explain`: the same alert from a replay's files and from the store, in words and as JSON."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import orjson
import pytest
from msgspec.structs import replace

from config.settings import Settings, StoreSettings
from detectors.alert import Alert, BlastRadius, Evidence, Match, Proposal, Statement
from streams.cli.main import run
from streams.explain import explanation_of, in_words
from streams.replay import ALERTS, CAMPAIGNS, RULES
from streams.store.opening import open_store
from streams.store.reading import alert_of, campaign_with, rules_of
from streams.store.step import rows_of_alert, rows_of_campaign, rows_of_rule_change
from streams.store.upgrade import apply_schema
from streams.switches.validation import rule_id_of
from streams.wire.records import Approval, ListEntry, RuleChange, encode
from tests.stores import BASE, CALLER, TRUNK, a_rule, an_alert, campaigns_of

MATCH = Match(caller=f"+{CALLER}")
RULE = a_rule(rule_id=rule_id_of(MATCH, "block"), reason="why it was blocked")


def alert(**changes: Any) -> Alert:
    values: dict[str, Any] = {
        "kind": "burst",
        "evidence": [
            Evidence("calls_1m", 214, 1, 0.6),
            Evidence("talked_share", 0.01, 0.45, 0.3),
            Evidence("clone.networks", 2, 1, 0.1),
            Evidence("called_back", 7, 3, 0),
        ],
        "findings": [
            Statement("burst", "burst", "high", 0.99, "it called many"),
            Statement("clone", "clone", "medium", 0.4, "it is in two networks", 1),
            Statement("flood", "flood", "medium", 0.8, "many are called"),
        ],
        "proposals": [Proposal(MATCH, BlastRadius(120, 1, 119), "burst", "burst")],
    }
    return an_alert(**(values | changes))


def words(told: Alert, rules: dict[str, RuleChange] | None = None, **known: Any) -> str:
    settings = known.pop("settings", Settings())
    return in_words(explanation_of(told, settings, {} if rules is None else rules, None, **known))


class TestWords:
    def test_each_feature_with_what_it_means(self) -> None:
        text = words(alert())
        assert "calls_1m 214 calls, typical 1: decided it, 60% (attempts of the last minute)" in text
        assert "talked_share 0.01 share, typical 0.45: weighed much, 30%" in text
        assert "clone.networks 2, typical 1: weighed somewhat, 10%" in text

    def test_what_spoke_against_it(self) -> None:
        against = words(alert()).split("what spoke against it:\n")[1].split("\n\n")[0]
        assert "called_back 7 calls, typical 3: did not speak for abuse" in against
        assert "clone by itself holds abuse for less likely than not: 40%" in against

    def test_who_agrees_and_whose_evidence_adds(self) -> None:
        text = words(alert())
        assert "burst, high, 0.99, leads: it called many" in text
        assert "clone, medium, 0.4, independent of it, withholds 1: it is in two networks" in text
        assert "flood, medium, 0.8, not independent of it: many are called" in text

    def test_where_its_calls_came_in(self) -> None:
        assert f"They came in over trunk {TRUNK} from CM." in words(alert())

    def test_its_rule(self) -> None:
        in_force = replace(RULE, mode="enforce")
        for rule, state in (
            (in_force, "in force"),
            (RULE, "shadow"),
            (replace(in_force, approval=Approval("pending")), "pending"),
            (replace(in_force, approval=Approval("revoked", "li", 1)), "revoked"),
        ):
            text = words(alert(), {RULE.rule_id: RuleChange(RULE.rule_id, rule, BASE)})
            assert (
                f"caller +{CALLER}, proposed by burst: rule {RULE.rule_id}, {state}: why it was blocked"
                in text
            )
        ended = RuleChange(RULE.rule_id, None, BASE, "The rule expired.")
        assert f"rule {RULE.rule_id}, ended: The rule expired." in words(alert(), {RULE.rule_id: ended})

    def test_a_rule_that_relies_on_another_detector_says_so(self) -> None:
        released = Proposal(MATCH, BlastRadius(1, 1, 1), "burst", "burst", "clone")
        assert "proposed by burst, which relies on clone:" in words(alert(proposals=[released]))

    @pytest.mark.parametrize(
        ("changes", "settings", "why"),
        [
            ({"severity": "medium"}, {}, "severity medium is below respond.min_severity, high"),
            (
                {},
                {"detectors": {"burst": {"mode": "off"}}},
                "the mode of burst or of what it relies on is off",
            ),
            (
                {"proposals": [Proposal(Match(caller="+86138*"), BlastRadius(1, 1, 1), "burst", "burst")]},
                {},
                "The match's caller +86138* is too wide",
            ),
            (
                {"proposals": [Proposal(Match(caller="+86110"), BlastRadius(1, 1, 1), "burst", "burst")]},
                {},
                "emergency and short service numbers are never stopped",
            ),
            ({}, {}, "respond refused it or has not seen it"),
        ],
    )
    def test_why_there_is_no_rule(self, changes: dict[str, Any], settings: dict[str, Any], why: str) -> None:
        text = words(alert(**changes), settings=Settings.model_validate(settings))
        (line,) = [line for line in text.splitlines() if ": no rule: " in line]
        assert why in line

    def test_the_allow_list_is_a_reason(self) -> None:
        entry = ListEntry("e", "allow", "number", f"+{CALLER}", "desk", "a bank's own line")
        text = words(alert(), allowed=[entry])
        assert f"no rule: the allow-list protects number +{CALLER}, desk: a bank's own line" in text

    def test_why_nothing_was_proposed(self) -> None:
        text = words(alert(proposals=[], severity="medium"))
        assert "no rule: clone withholds a rule until independent evidence agrees with it" in text
        assert "no rule: its severity is medium, and rules are proposed from high on" in text
        text = words(alert(proposals=[], findings=[]))
        assert "no rule: no detector found a match narrow enough to propose" in text


@pytest.fixture
def replayed(tmp_path: Path) -> Path:
    other = alert(alert_id="b" * 32, first_seen=BASE - 700_000)
    versions = campaigns_of(alert(), other)
    lines = {
        ALERTS: [encode(alert(calls=5)), encode(alert(version=2)), encode(other)],
        RULES: [encode(RULE), encode(replace(RULE, version=2, mode="enforce"))],
        CAMPAIGNS: [encode(each) for each in versions],
    }
    for name, written in lines.items():
        (tmp_path / name).write_bytes(b"".join(line + b"\n" for line in written))
    return tmp_path


def test_from_what_replay_wrote(replayed: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["explain", "aaaaaa", "--from", str(replayed)]) == 0
    text = capsys.readouterr().out
    assert text.startswith(f"number +{CALLER}: high, score 0.93\nalert {'a' * 32}, version 2, led by burst")
    assert f"rule {RULE.rule_id}, in force: why it was blocked" in text
    assert "one of 2 alerts of campaign" in text
    assert "sample calls:\n  c-1\n  c-2\n" in text


def test_as_json(replayed: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["explain", "a" * 32, "--from", str(replayed), "--json"]) == 0
    told = orjson.loads(capsys.readouterr().out)
    assert told["evidence"][0]["unit"] == "calls"
    assert told["rules"][0]["state"] == "in force"
    assert told["campaign"]["alert_count"] == 2


def test_a_file_of_alerts_knows_nothing_of_rules(replayed: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["explain", "a" * 32, "--alerts", str(replayed / ALERTS), "--json"]) == 0
    told = orjson.loads(capsys.readouterr().out)
    assert [each["state"] for each in told["rules"]] == ["unknown"]
    assert told["campaign"] is None


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (["c" * 32, "--from", "."], f"there is no alert {'c' * 32} in alerts.ndjson"),
        (["a" * 32, "--from", "nowhere"], "cannot be read"),
        (["a" * 32, "--alerts", "broken"], "broken has a line that is not a record of it"),
        (["a" * 32, "--alerts", "x", "--from", "."], "--from and --alerts are both given"),
        (["aaa", "--from", "."], "'aaa' is no alert's id"),
        (["nonsense", "--from", "."], "'nonsense' is no alert's id"),
        (["a" * 32], "no store is configured"),
    ],
)
def test_what_cannot_be_is_said(
    replayed: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    arguments: list[str],
    complaint: str,
) -> None:
    monkeypatch.chdir(replayed)
    Path("broken").write_text("{}\n")
    assert run(["explain", *arguments]) == 2
    told = capsys.readouterr().err
    assert complaint in told
    assert "what to do: " in told


def test_two_alerts_that_begin_alike(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    same = [alert(alert_id="a" * 31 + digit) for digit in "12"]
    (tmp_path / ALERTS).write_bytes(b"\n".join(map(encode, same)))
    assert run(["explain", "aaaaaaaa", "--from", str(tmp_path)]) == 2
    assert "2 alerts in" in capsys.readouterr().err


def test_from_the_store(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    place = str(tmp_path / "store")
    store = open_store(StoreSettings(path=place, days=10_000))
    apply_schema(store)
    told = alert(version=2)
    (campaign,) = campaigns_of(told)
    store.insert(rows_of_alert(alert(calls=5)))
    store.insert(rows_of_alert(told))
    store.insert(rows_of_rule_change(RuleChange(RULE.rule_id, RULE, BASE), 1))
    store.insert(rows_of_campaign(campaign))
    assert alert_of(store, told.alert_id) == told
    assert rules_of(store, told) == {RULE.rule_id: RuleChange(RULE.rule_id, RULE, BASE)}
    found = campaign_with(store, told.alert_id)
    assert found is not None
    assert found.story == campaign.story
    store.insert(rows_of_rule_change(RuleChange(RULE.rule_id, None, BASE + 1, "The rule expired."), 2))
    assert rules_of(store, told)[RULE.rule_id].rule is None
    assert rules_of(store, alert(proposals=[])) == {}
    assert campaign_with(store, "f" * 32) is None
    store.close()
    assert run(["explain", "aaaaaaa", "--set", f"store.path={place}"]) == 0
    text = capsys.readouterr().out
    assert "ended: The rule expired." in text
    assert campaign.story in text
    assert run(["explain", "fffffff", "--set", f"store.path={place}"]) == 2
