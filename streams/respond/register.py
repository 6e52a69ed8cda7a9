"""Callers that serve customers: short service numbers, and enterprise numbers (400, 800) that a company has,
by the list `company`.

Who shows one that is registered is the company, or somebody who imitates it. Where no entry names one there
is no register, and each counts as registered. Entries for advertising do not count.
"""

from __future__ import annotations

from detectors.alert import Match
from streams.respond.allow import AllowList, e164_forms
from streams.switches.protected import ProtectedNumbers
from streams.wire.records import ListEntry


class Register:
    def __init__(self, protected: ProtectedNumbers) -> None:
        self._protected = protected
        self._entries = AllowList(int(protected.country))

    def put(self, entry_id: str, entry: ListEntry | None) -> bool:
        """An entry of `lists` came, changed or (None) went; whether that changes who is registered.

        Raises ``ValueError`` that says what is wrong with its value.
        """
        went = self._entries.remove(entry_id) is not None
        if entry is None or not self._registers(entry):
            return went
        self._entries.put(entry)
        return True

    def serves(self, caller: str | None, now: int) -> bool:
        """Whether a rule's ``caller`` is one number that customers call as well."""
        if caller is None or self._protected.is_service(caller):
            return caller is not None
        if not self._protected.is_enterprise(caller):
            return False
        return not self._entries.entries or self._entries.protecting(Match(caller=caller), now) is not None

    def _registers(self, entry: ListEntry) -> bool:
        return (
            entry.list == "company"
            and entry.category != "marketing"
            and any(map(self._protected.begins_enterprises, e164_forms(entry.value, self._protected.country)))
        )
