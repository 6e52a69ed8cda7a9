"""The numbering plan: additions, cache file, prefixes, patterns."""

from __future__ import annotations

import logging
import multiprocessing
import re
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from config.settings import NumberingSettings
from detectors import plan_build
from detectors.cache import cache_root
from detectors.calls import NumberKind, NumberStatus
from detectors.plan import KEPT_FILES, NumberingPlan
from detectors.plan_additions import PlanError, read_additions
from detectors.plan_patterns import Machine, PatternError, States
from detectors.plan_tree import DEAD, NOTHING, Node, PrefixTree

HEADER = "prefix,lengths,kind,operator,province,status\n"


@pytest.fixture(scope="module")
def plan() -> NumberingPlan:
    return NumberingPlan.load(NumberingSettings())


def with_additions(directory: Path, lines: str) -> NumberingPlan:
    path = directory / "additions.csv"
    path.write_text(HEADER + lines, encoding="utf-8")
    return NumberingPlan.load(NumberingSettings(additions=str(path)))


def said(plan: NumberingPlan, number: int) -> tuple[str, str, str, str]:
    columns = plan.lookup(np.array([number]))
    return (
        NumberStatus(columns.status[0]).name,
        NumberKind(columns.kind[0]).name,
        plan.operators[columns.operator[0]],
        plan.provinces[columns.province[0]],
    )


@pytest.mark.parametrize(
    ("number", "status", "kind"),
    [
        (8613800138000, "ALLOCATED", "MOBILE"),
        (861088888888, "ALLOCATED", "FIXED"),
        (8675588888888, "ALLOCATED", "FIXED"),
        (8614810000000, "ALLOCATED", "MACHINE"),
        (861064812345678, "ALLOCATED", "MACHINE"),
        (86110, "EMERGENCY", "SERVICE"),
        (8695588, "SHORT_SERVICE", "SERVICE"),
        (864001234567, "SHORT_SERVICE", "SHARED_COST"),
        (868001234567, "SHORT_SERVICE", "TOLL_FREE"),
        (8614000000000, "UNALLOCATED", "UNKNOWN"),
        (8616812345678, "UNALLOCATED", "UNKNOWN"),
        (86138001380001, "TOO_LONG", "UNKNOWN"),
        (861380013800, "TOO_SHORT", "UNKNOWN"),
        (12025550123, "ALLOCATED", "FIXED_OR_MOBILE"),
        (18005550123, "ALLOCATED", "TOLL_FREE"),
        (447911123456, "ALLOCATED", "MOBILE"),
        (99912345678, "UNALLOCATED", "UNKNOWN"),
        (1, "TOO_SHORT", "UNKNOWN"),
        (0, "TEXT", "UNKNOWN"),
        (-5, "TEXT", "UNKNOWN"),
        (10**15, "TOO_LONG", "UNKNOWN"),
    ],
)
def test_lookup(plan: NumberingPlan, number: int, status: str, kind: str) -> None:
    assert said(plan, number)[:2] == (status, kind)


def test_known_numbers_have_their_operator_and_province(plan: NumberingPlan) -> None:
    assert said(plan, 8613800138000) == ("ALLOCATED", "MOBILE", "CM", "北京")
    assert said(plan, 8675588888888) == ("ALLOCATED", "FIXED", "", "广东")


def test_lookup_of_none(plan: NumberingPlan) -> None:
    assert [len(column) for column in plan.lookup(np.array([], np.int64))] == [0] * 4


def test_names_start_with_unknown(plan: NumberingPlan) -> None:
    assert plan.operators == ["", "CB", "CM", "CT", "CU"]
    assert plan.provinces[0] == ""
    assert len(plan.provinces) == 32


def test_short_numbers_are_no_numbers_of_the_plan() -> None:
    """The plan without them holds none of them, except as the shared-cost or toll-free number they are."""
    tree, labels = PrefixTree(), plan_build.Labels()
    bare = plan_build.china(tree, labels, plan_build.world(tree, labels))
    short = [row for row in read_additions(plan_build.SHIPPED / "86.csv") if row.status != "allocated"]
    assert len(short) > 10
    same = (NumberKind.SHARED_COST, NumberKind.TOLL_FREE)
    for row in short:
        for length in row.lengths:
            for filler in "0123456789":
                number = row.prefix + filler * (length - len(row.prefix))
                node = tree.find(bare, number)
                assert tree.label(node) == NOTHING or labels[tree.label(node)].kind in same, number


def test_prefixes(plan: NumberingPlan) -> None:
    assert plan.is_valid_prefix_unallocated(861400000)
    assert plan.is_valid_prefix_unallocated(999)
    assert not plan.is_valid_prefix_unallocated(86138)
    assert not plan.is_valid_prefix_unallocated(86110)
    assert not plan.is_valid_prefix_unallocated(0)
    assert plan.widest_unallocated_prefix(8614000001234, 9) == 861400000
    assert plan.widest_unallocated_prefix(8614000001234, 1) == 861400
    assert plan.widest_unallocated_prefix(8614000001234, 13) == 8614000001234
    assert plan.widest_unallocated_prefix(8614000001234, 14) is None
    assert plan.widest_unallocated_prefix(86138001380001, 9) == 86138001380001
    assert plan.widest_unallocated_prefix(8613800138000, 1) is None
    assert plan.widest_unallocated_prefix(861380013, 1) is None
    assert plan.widest_unallocated_prefix(-7, 1) is None


@settings(deadline=None)
@given(st.integers(1, 10**15 - 1), st.integers(1, 15))
def test_widest_prefix_is_the_shortest_dead_one(number: int, at_least: int) -> None:
    plan = _plan()
    text = str(number)
    dead = [
        int(text[:k])
        for k in range(at_least, len(text) + 1)
        if plan.is_valid_prefix_unallocated(int(text[:k]))
    ]
    assert plan.widest_unallocated_prefix(number, at_least) == (dead[0] if dead else None)


_loaded: list[NumberingPlan] = []


def _plan() -> NumberingPlan:
    if not _loaded:
        _loaded.append(NumberingPlan.load(NumberingSettings()))
    return _loaded[0]


def test_additions(tmp_path: Path) -> None:
    added = with_additions(
        tmp_path,
        "# ours\n"
        "8614000,13,mobile,XX,海南,allocated\n"
        "86140001,13,,,,unallocated\n"
        "861380013,,,XX,,allocated\n"
        "86139,,,,,unallocated\n"
        "86137,13,,,,unallocated\n"
        "86137,15,machine,,,allocated\n"
        "8655,5-6,,,,unallocated\n"
        "8677,5 7,service,,,service\n"
        "8688,5,service,,,emergency\n"
        "999,12,voip,YY,,allocated\n",
    )
    assert said(added, 8614000001234) == ("ALLOCATED", "MOBILE", "XX", "海南")
    assert said(added, 8614000101234)[0] == "UNALLOCATED"
    assert said(added, 8613800138000) == ("ALLOCATED", "MOBILE", "XX", "北京")
    assert said(added, 8613900138000)[0] == "UNALLOCATED"
    assert added.is_valid_prefix_unallocated(86139)
    assert said(added, 8613700138000)[0] == "UNALLOCATED"
    assert said(added, 861370013800000)[:2] == ("ALLOCATED", "MACHINE")
    assert said(added, 8677123)[0] == "SHORT_SERVICE"
    assert said(added, 867712)[0] == "TOO_SHORT"
    assert said(added, 86881)[0] == "EMERGENCY"
    assert said(added, 999123456789) == ("ALLOCATED", "VOIP", "YY", "")
    assert said(added, 9991234567891)[0] == "TOO_LONG"
    assert added.version != _plan().version
    assert added.operators[0] == ""
    assert said(added, 8613600138000) == said(_plan(), 8613600138000)


def test_later_line_and_longer_prefix_win(tmp_path: Path) -> None:
    added = with_additions(
        tmp_path,
        "99912,8,fixed,B,,allocated\n9991,8,fixed,A,,allocated\n9991,8,mobile,C,,allocated\n",
    )
    assert said(added, 99912345)[1:3] == ("FIXED", "B")
    assert said(added, 99911345)[1:3] == ("MOBILE", "C")


@pytest.mark.parametrize(
    ("content", "complaint"),
    [
        ("", "is empty, expected the header prefix,lengths,kind,operator,province,status"),
        ("prefix,kind\n1,fixed\n", "line 1: header 'prefix,kind', expected the columns"),
        (HEADER + "86,13\n", "line 2: 2 fields, expected 6"),
        (HEADER + "\n# x\n86x,13,mobile,,,allocated\n", "line 4: prefix '86x', expected 1 to 15 digits"),
        (HEADER + "086,13,mobile,,,allocated\n", "line 2: prefix '086', expected"),
        (HEADER + ",13,mobile,,,allocated\n", "line 2: prefix '', expected"),
        (HEADER + "86,13,mobil,,,allocated\n", "line 2: kind 'mobil', expected mobile or fixed or"),
        (HEADER + "86,13,,,,allocated\n", "line 2: kind '', expected mobile"),
        (HEADER + "86,1x,mobile,,,allocated\n", "line 2: lengths '1x', expected lengths such as"),
        (HEADER + "86,16,mobile,,,allocated\n", "line 2: lengths '16', expected from 2 (the prefix) to 15"),
        (HEADER + "8613800,5,mobile,,,allocated\n", "line 2: lengths '5', expected from 7"),
        (HEADER + "86,13-12,mobile,,,allocated\n", "line 2: lengths '13-12', expected from 2"),
        (HEADER + "86,13,mobile,,,gone\n", "line 2: status 'gone', expected allocated or unallocated or"),
        (HEADER + "86,,service,,,service\n", "line 2: lengths '', expected the digits of the whole number"),
    ],
)
def test_a_wrong_addition_names_line_field_and_value(tmp_path: Path, content: str, complaint: str) -> None:
    path = tmp_path / "additions.csv"
    path.write_text(content, encoding="utf-8")
    with pytest.raises(PlanError, match=re.escape(complaint)) as raised:
        NumberingPlan.load(NumberingSettings(additions=str(path)))
    assert str(raised.value).startswith(str(path))


def test_additions_that_cannot_be_read(tmp_path: Path) -> None:
    with pytest.raises(PlanError, match="cannot be read"):
        NumberingPlan.load(NumberingSettings(additions=str(tmp_path / "none.csv")))
    path = tmp_path / "latin.csv"
    path.write_bytes(HEADER.encode() + "86,13,mobile,é,,allocated\n".encode("latin-1"))
    with pytest.raises(PlanError, match="is not UTF-8"):
        NumberingPlan.load(NumberingSettings(additions=str(path)))


def test_additions_with_byte_order_mark_and_quotes(tmp_path: Path) -> None:
    path = tmp_path / "additions.csv"
    path.write_text(
        '\ufeff"prefix","lengths","kind","operator","province","status"\n+999,6,fixed,"A, B",,allocated\n'
    )
    (row,) = read_additions(path)
    assert (row.prefix, row.lengths, row.operator) == ("999", (6,), "A, B")


def test_the_cache_is_used_and_a_damaged_one_rebuilt(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("RINGFENCE_CACHE_DIR", str(tmp_path))
    compiled = []
    compile_plan = plan_build.compile_plan
    monkeypatch.setattr(
        plan_build, "compile_plan", lambda *given: (compiled.append(given), compile_plan(*given))[1]
    )
    first = NumberingPlan.load(NumberingSettings())
    second = NumberingPlan.load(NumberingSettings())
    assert len(compiled) == 1
    (file,) = tmp_path.glob("plan-*")
    whole = file.read_bytes()
    for damaged in (whole[:-1], whole[:100], b"", whole[:5000] + bytes([whole[5000] ^ 1]) + whole[5001:]):
        file.write_bytes(damaged)
        with caplog.at_level(logging.WARNING):
            again = NumberingPlan.load(NumberingSettings())
        assert "damaged numbering plan" in caplog.text
        assert file.read_bytes() == whole
        for one, other, third in zip(first.tables, second.tables, again.tables, strict=True):
            assert (one == other).all()
            assert (one == third).all()
        assert first.version == again.version
        assert first.provinces == again.provinces
    assert len(compiled) == 5


def test_without_a_writable_cache_it_compiles(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("RINGFENCE_CACHE_DIR", str(tmp_path / "file"))
    with caplog.at_level(logging.WARNING):
        plan = NumberingPlan.load(NumberingSettings())
    assert "not kept in the cache" in caplog.text
    assert said(plan, 8613800138000)[0] == "ALLOCATED"


def test_old_plans_leave_the_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RINGFENCE_CACHE_DIR", str(tmp_path))
    for home in range(1, KEPT_FILES + 2):
        (tmp_path / f"plan-{home}.bin").write_bytes(b"old")
    NumberingPlan.load(NumberingSettings())
    assert len(list(tmp_path.iterdir())) == KEPT_FILES


def test_cache_root(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("RINGFENCE_CACHE_DIR", raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", "/somewhere")
    assert cache_root() == Path("/somewhere/ringfence")
    monkeypatch.delenv("XDG_CACHE_HOME")
    monkeypatch.setenv("HOME", "/home/someone")
    assert cache_root() == Path("/home/someone/.cache/ringfence")


def _load_version(_: int) -> str:
    return NumberingPlan.load(NumberingSettings()).version


def test_two_processes_may_compile_at_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RINGFENCE_CACHE_DIR", str(tmp_path))
    with multiprocessing.get_context("fork").Pool(2) as pool:
        versions = set(pool.map(_load_version, range(2), chunksize=1))
    assert versions == {_plan().version}
    (file,) = tmp_path.iterdir()
    assert file.name.startswith("plan-")


def accepts(pattern: str, text: str) -> bool:
    machine = Machine()
    states: States = machine.start([machine.add(pattern, 0)])
    for digit in text:
        states = machine.step(states)[int(digit)]
    return bool(machine.accepting(states))


@given(
    st.recursive(
        st.sampled_from([r"\d", "1", "[2-5]", "[13-59]", "70", "8?", "[06]{2}", r"\d{1,3}"]),
        lambda inner: st.one_of(
            st.lists(inner, min_size=1, max_size=3).map("".join),
            st.lists(inner, min_size=2, max_size=3).map(lambda parts: f"(?:{'|'.join(parts)})"),
            st.tuples(inner, st.sampled_from(["?", "{2}", "{1,2}"])).map(
                lambda pair: f"(?:{pair[0]}){pair[1]}"
            ),
        ),
        max_leaves=8,
    ),
    st.lists(st.text("0123456789", max_size=8), max_size=20),
)
def test_patterns_match_as_regular_expressions_do(pattern: str, texts: list[str]) -> None:
    for text in texts:
        assert accepts(pattern, text) == (re.fullmatch(pattern, text) is not None)


@pytest.mark.parametrize(
    "pattern", ["a", "1*", "1+", "(1)", "(?:1", "1)", "[1", "[a]", "1{", "1{x}", "1{2,1}", "1{0}"]
)
def test_patterns_of_a_new_shape_are_noticed(pattern: str) -> None:
    with pytest.raises(PatternError, match="expected"):
        Machine().add(pattern, 0)


def test_tree_leaves_are_the_labels_given() -> None:
    tree = PrefixTree()
    labels = np.array([(i * i) % 3 for i in range(1000)])
    root = tree.leaves(labels, below=2)
    for i in range(1000):
        node: Node = tree.find(root, f"{i:03}77")
        assert tree.label(node) == labels[i]
        assert tree.find(node, "1") == DEAD
        assert tree.find(root, f"{i:03}") == DEAD or labels[i] != NOTHING
