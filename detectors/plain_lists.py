"""The topic `lists` again in plain Python: what the tables of ``detectors.lists`` are held to.

It keeps the entries and reads all of them for each question. Numbers are written in E.164 here.
"""

from __future__ import annotations

from collections.abc import Iterable

from detectors.lists import Entry


class PlainLists:
    def __init__(self, entries: Iterable[Entry] = ()) -> None:
        self._entries = list(entries)

    def _of(self, name: str, number: int, time: int) -> list[Entry]:
        return [
            entry
            for entry in self._entries
            if entry.list == name
            and (entry.expires_at is None or time < entry.expires_at)
            and _covers(entry.value, number)
        ]

    def refuses_marketing(self, callee: int, time: int) -> bool:
        refusals = self._of("refusal", callee, time)
        return any(not entry.caller and entry.category in ("", "marketing") for entry in refusals)

    def company(self, caller: int, time: int) -> tuple[str, str]:
        """Name and category, of the longest value that covers the caller; empty where none."""
        companies = self._of("company", caller, time)
        if not companies:
            return "", ""
        best = max(companies, key=lambda entry: (not entry.value.endswith("*"), len(entry.value)))
        return best.owner, best.category

    def ported_to(self, number: int, network: str, time: int) -> bool:
        """Whether the longest value that covers the number says that this network serves it."""
        return bool(network) and self.serving(number, time) == network

    def serving(self, number: int, time: int) -> str:
        """The network that serves a ported number; empty where it is not listed."""
        listed = self._of("portability", number, time)
        longest = max(
            listed, key=lambda entry: (not entry.value.endswith("*"), len(entry.value)), default=None
        )
        return "" if longest is None else longest.owner.strip()

    def between(self, callee: int, caller: int, time: int) -> set[str]:
        """What the callee said of this caller: ``refused``, ``consented``, ``consented to all``."""
        company, category = self.company(caller, time)
        said = set()
        for entry in self._of("refusal", callee, time):
            of_marketing = not entry.caller and entry.category in ("", "marketing")
            if not of_marketing and _is_about(entry, caller, company, category):
                said.add("refused")
        for entry in self._of("consent", callee, time):
            if _is_about(entry, caller, company, category):
                said.add("consented" if entry.caller else "consented to all")
        return said


def _is_about(entry: Entry, caller: int, company: str, category: str) -> bool:
    if entry.category and entry.category != category:
        return False
    if not entry.caller:
        return True
    if entry.caller.startswith("+"):
        return _covers(entry.caller, caller)
    return bool(company) and entry.caller.strip().casefold() == company.strip().casefold()


def _covers(pattern: str, number: int) -> bool:
    if number <= 0:
        return False
    bare = pattern.removesuffix("*")
    return f"+{number}".startswith(bare) if bare != pattern else f"+{number}" == bare
