"""Records of `frames` that were told of already."""

from __future__ import annotations

from streams.profile.folded import KEPT, Folded


def test_a_record_is_news_once() -> None:
    folded = Folded()
    assert [folded.add(0, offset) for offset in (5, 6, 5, 6, 7)] == [True, True, False, False, True]
    assert folded.add(1, 5)


def test_a_worker_that_does_not_know_it_was_expelled_hides_nothing_of_its_successor() -> None:
    folded = Folded()
    expelled, successor = [10, 11, 15], [12, 13, 14, 15, 16]
    assert [folded.add(0, offset) for offset in expelled + successor] == [True] * 6 + [False, True]


def test_what_is_older_than_all_that_is_remembered_is_not_news() -> None:
    folded = Folded()
    assert all(folded.add(0, offset) for offset in range(1, 2 * KEPT + 1))
    assert not folded.add(0, 0)
    assert not folded.add(0, KEPT)
    assert folded.add(0, 2 * KEPT + 1)
