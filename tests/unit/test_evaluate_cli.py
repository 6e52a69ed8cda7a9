"""`ringfence evaluate` as people and programs use it."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from streams.cli import exits, main
from streams.evaluate import suite
from streams.evaluate.labels import read_labels
from streams.evaluate.suite import Halves, NamedScenario, halves, read_seeds
from streams.faults import Usage
from streams.importers.files import ImportProblem
from streams.importers.lists import read_lists
from streams.simulate import AttackSpec, Scenario

ATTACKS = [AttackSpec("unallocated", 2, intensity=2), AttackSpec("flood", 1)]


@pytest.fixture(scope="module")
def traffic(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("traffic")
    arguments = ["--minutes", "2", "--rate", "20", "--seed", "3", "--attacks", "unallocated:2,flood"]
    assert main.run(["simulate", *arguments, "--out", str(out)]) == exits.OK
    return out


@pytest.fixture(autouse=True)
def alone(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)


def _evaluate(traffic: Path, *more: str) -> int:
    files = [str(traffic / "calls.ndjson"), "--labels", str(traffic / "labels.csv")]
    return main.run(["evaluate", *files, *more])


def test_a_directory_gets_figures_report_and_what_replay_writes(
    traffic: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "judged"
    assert _evaluate(traffic, "--lists", str(traffic / "lists.ndjson"), "--out", str(out)) == exits.OK
    assert {file.name for file in out.iterdir()} == {
        "alerts.ndjson", "block-rules.ndjson", "campaigns.ndjson", "rejected.ndjson", "summary.json",
        "evaluation.json", "report.html",
    }  # fmt: skip
    shown = capsys.readouterr().out
    assert "campaigns found" in shown
    assert re.search(r"^unallocated +1 ", shown, re.MULTILINE)
    figures = json.loads((out / "evaluation.json").read_bytes())
    campaigns = json.loads((traffic / "campaigns.json").read_bytes())
    assert figures["overall"]["campaigns"] == len(campaigns)
    judged = {each["campaign"]: each for each in figures["judgement"]["campaigns"]}
    assert {name: each["calls"] for name, each in judged.items()} == {
        each["campaign"]: each["calls"] for each in campaigns
    }
    rules = [json.loads(line) for line in (out / "block-rules.ndjson").read_bytes().splitlines()]
    assert {rule["mode"] for rule in rules if "mode" in rule} == {"enforce"}


def test_the_report_needs_no_network(traffic: Path, tmp_path: Path) -> None:
    assert _evaluate(traffic, "--out", str(tmp_path)) == exits.OK
    page = (tmp_path / "report.html").read_text()
    assert page.count("<svg") == 5
    loaded = re.findall(r"<(?:script|link|img|iframe)\b|url\((?!#)|@import", page)
    assert not loaded
    assert "unallocated" in page


def test_json_is_one_line_of_the_same_figures(
    traffic: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert _evaluate(traffic, "--json", "--out", str(tmp_path)) == exits.OK
    shown = capsys.readouterr().out
    assert shown.count("\n") == 1
    assert json.loads(shown) == json.loads((tmp_path / "evaluation.json").read_bytes())


def test_in_shadow_mode_nothing_is_blocked(traffic: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert _evaluate(traffic, "--json") == exits.OK
    assert json.loads(capsys.readouterr().out)["overall"]["blocked"] > 0
    assert _evaluate(traffic, "--json", "--mode", "shadow") == exits.OK
    assert json.loads(capsys.readouterr().out)["overall"]["blocked"] == 0


def _labels(tmp_path: Path, text: str) -> str:
    file = tmp_path / "l.csv"
    file.write_text(text)
    return str(file)


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("", "line 1: the column call_id is missing"),
        ("call_id,kind\n", "line 1: the column campaign is missing"),
        ("call_id,campaign,kind\na,b\n", "line 2: 2 cells; expected at least 3"),
        ("call_id,campaign,kind\n,c,burst\n", "line 2: call_id is empty"),
        ("call_id,campaign,kind\na,c,\n", "line 2: kind of campaign 'c' is empty"),
        ("call_id,campaign,kind\n\na,c,burst\nb,c,flood\n", "line 4: campaign 'c' is of kind 'flood'"),
        ("call_id,campaign,kind\nnone,c,burst\n", "none of the 1 calls"),
    ],
)
def test_labels_that_are_wrong_are_named(
    text: str, told: str, traffic: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    calls = str(traffic / "calls.ndjson")
    if "none of" in told:
        calls = str(tmp_path / "calls.ndjson")
        Path(calls).write_bytes((traffic / "calls.ndjson").read_bytes()[:20_000])
    assert main.run(["evaluate", calls, "--labels", _labels(tmp_path, text)]) == exits.USAGE
    said = capsys.readouterr().err
    assert "l.csv" in said
    assert told in said


def test_labels_in_any_order_with_a_size(tmp_path: Path) -> None:
    text = "size,kind,note,campaign,call_id\r\n13 calls,burst,,c,a\r\n,,,,b\r\n13 calls,burst,,c,d\r\n"
    labels = read_labels(Path(_labels(tmp_path, text)))
    assert [tuple(each) for each in labels.campaigns] == [("c", "burst", "13 calls")]
    assert len(labels) == 2


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        ([], "nothing to judge"),
        (["calls.ndjson"], "nothing to judge"),
        (["calls.ndjson", "--suite"], "bring their own calls"),
        (["--suite", "--seeds", "3-1"], "--seeds 3-1: '3-1' is no seed"),
        (["--suite", "--seeds", "1", "--tune-seeds", "some"], "'some' is no seed"),
        (["calls.ndjson", "--labels", "l.csv", "--mode", "block"], "respond.mode = 'block'"),
        (["absent.ndjson", "--labels", "l.csv"], "absent.ndjson is not a file"),
        (["calls.ndjson", "--labels", "absent.csv"], "absent.csv"),
        (["calls.ndjson", "--labels", "l.csv", "--lists", "wrong.ndjson"], "wrong.ndjson, line 2: list: "),
        (["calls.ndjson", "--labels", "l.csv", "--lists", "prefix.ndjson"], "list entry 1: "),
    ],
)
def test_a_mistake_ends_with_2_and_a_sentence(
    arguments: list[str], told: str, capsys: pytest.CaptureFixture[str]
) -> None:
    Path("calls.ndjson").write_text("")
    Path("l.csv").write_text("call_id,campaign,kind\n")
    entry = {"entry_id": "1", "list": "allow", "type": "prefix", "value": "x", "owner": "o", "reason": "r"}
    good = json.dumps(entry | {"type": "number", "value": "+8613800138000"})
    Path("wrong.ndjson").write_text(f"{good}\n{json.dumps(entry | {'list': 'friends'})}\n")
    Path("prefix.ndjson").write_text(json.dumps(entry) + "\n")
    assert main.run(["evaluate", *arguments]) == exits.USAGE
    written = capsys.readouterr()
    assert told in written.err
    assert "Traceback" not in written.err
    assert written.out == ""


def test_lists_are_known_before_the_first_call(
    traffic: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert _evaluate(traffic, "--json") == exits.OK
    before = json.loads(capsys.readouterr().out)["overall"]["blocked"]
    entries = [
        {"entry_id": trunk, "list": "allow", "type": "trunk", "value": trunk, "owner": "o", "reason": "r"}
        for trunk in _trunks(traffic)
    ]
    numbers = [
        {"entry_id": number, "list": "allow", "type": "number", "value": number, "owner": "o", "reason": "r"}
        for campaign in json.loads((traffic / "campaigns.json").read_bytes())
        for number in (*campaign["callers"], *campaign["callees"])
        if re.fullmatch(r"\+[1-9]\d{6,14}", number)
    ]
    lists = tmp_path / "lists.ndjson"
    lists.write_text("".join(json.dumps(entry) + "\n\n" for entry in [*entries, *numbers]))
    assert _evaluate(traffic, "--json", "--lists", str(lists)) == exits.OK
    assert json.loads(capsys.readouterr().out)["overall"]["blocked"] < before


def _trunks(traffic: Path) -> set[str]:
    lines = (traffic / "calls.ndjson").read_bytes().splitlines()
    return {json.loads(line)["trunk"] for line in lines}


def test_a_line_that_is_no_json_is_named(tmp_path: Path) -> None:
    file = tmp_path / "lists.ndjson"
    file.write_text("{}\n")
    with pytest.raises(ImportProblem, match=r"line 1: .*entry_id"):
        list(read_lists(file))
    file.write_text("nothing\n")
    with pytest.raises(ImportProblem, match="line 1: JSON is malformed"):
        list(read_lists(file))


# --- the suite


@pytest.fixture
def small_suite(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """A suite of one small scenario a seed, judged in this process; the seeds that were judged."""
    judged: list[int] = []

    def scenarios(part: str, seed: int) -> list[NamedScenario]:
        judged.append(seed)
        attacks = ATTACKS if part == "suite" else "none"
        return [NamedScenario("small", Scenario(seed, minutes=1, calls_per_second=20, attacks=attacks))]

    def run(part: Any, seeds: Any, key: str, settings: Any, _jobs: int) -> Iterator[suite.JudgedSeed]:
        for seed in seeds:
            yield suite.judge_seed(part, seed, key, settings)

    monkeypatch.setattr(suite, "scenarios", scenarios)
    monkeypatch.setattr(suite, "_run", run)
    return judged


def test_a_suite_shows_both_halves_and_resumes(
    small_suite: list[int], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    suite_of = ["evaluate", "--suite", "--out", str(tmp_path)]
    assert main.run([*suite_of, "--seeds", "1-2"]) == exits.OK
    first = capsys.readouterr()
    assert "tuning seeds" in first.out
    assert "reporting seeds" in first.out
    assert "seed 2 judged" in first.err
    assert main.run([*suite_of, "--seeds", "1-3", "--json"]) == exits.OK
    assert small_suite == [1, 2, 3], "seeds judged before are read back"
    figures = json.loads(capsys.readouterr().out)
    assert {name: each["runs"] for name, each in figures.items()} == {"tuning seeds": 2, "reporting seeds": 1}
    kept = json.loads((tmp_path / "suite.json").read_bytes())
    assert kept["evaluations"] == figures
    assert [each["seed"] for each in kept["seeds"]] == [1, 2, 3]
    assert (tmp_path / "suite.html").read_text().count("<svg") == 6


def test_other_settings_and_damaged_files_are_judged_anew(small_suite: list[int], tmp_path: Path) -> None:
    suite_of = ["evaluate", "--suite", "--seeds", "1", "--json", "--out", str(tmp_path)]
    assert main.run(suite_of) == exits.OK
    assert main.run([*suite_of, "--set", "detectors.flood.mode=report"]) == exits.OK
    assert small_suite == [1, 1]
    (tmp_path / "suite-001.json").write_text('{"seed": 1')
    assert main.run(suite_of) == exits.OK
    assert small_suite == [1, 1, 1]


def test_weeks_are_held_against_targets_of_their_own(
    small_suite: list[int], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main.run(["evaluate", "--week", "--seeds", "4", "--out", str(tmp_path)]) == exits.OK
    shown = capsys.readouterr().out
    assert "legitimate callers blocked" in shown
    assert "per ten thousand calls" in shown
    assert (tmp_path / "week.html").exists()


def test_seeds() -> None:
    assert read_seeds("1-3, 7,2") == [1, 2, 3, 7]
    assert halves([1, 2, 3], "odd") == Halves([1, 3], [2])
    assert halves([1, 2, 3], "even") == Halves([2], [1, 3])
    assert halves([1, 2, 3], "1-2") == Halves([1, 2], [3])
    for wrong in ("", "a", "2-1", "-3", "1,,2", "1-1000000000"):
        with pytest.raises(Usage):
            read_seeds(wrong)
