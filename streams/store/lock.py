"""One process at a time changes the schema: a lock that is a table, since making one succeeds only once.

Its holder may die. The lock is broken when it is old and the server runs no statement of its holder, so that
a copy of hours keeps it without a heartbeat. A holder that was only stopped meanwhile notices before its next
statement. One that could not give it back, because the server went away, need not wait until it is old.
"""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from contextlib import contextmanager

from streams.store.ports import Store, StoreError

TABLE = "schema_lock"
STALE_S = 60
"""Without a statement for this long, its holder is taken for dead; shorter, and one that is merely slow
between two statements would be robbed of it."""


class SchemaLock:
    """Held by this process. ``execute`` runs a statement only while it still is."""

    def __init__(self, store: Store, token: str) -> None:
        self._store = store
        self._token = token

    def execute(self, statement: str) -> None:
        """Raises StoreError, also where somebody else has taken the lock for abandoned."""
        if _holder(self._store) != self._token:
            raise StoreError("another process has taken over changing the schema", _WAIT)
        self._store.execute(f"/* {self._token} */ {statement}")


_abandoned: set[str] = set()
"""Tokens that this process could not give back."""
_WAIT = "wait a minute and run `ringfence schema apply` again; the service does so by itself"


@contextmanager
def schema_lock(store: Store) -> Iterator[SchemaLock]:
    """Raises StoreError where another process has it."""
    token = f"by_{secrets.token_hex(8)}_{_now(store)}"
    try:
        if not _taken(store, token):
            _break_if_abandoned(store)
            if not _taken(store, token):
                raise StoreError("another process is changing the schema", _WAIT)
        yield SchemaLock(store, token)
    finally:
        _give_back(store, token)


def _give_back(store: Store, token: str) -> None:
    try:
        if _holder(store) == token:
            store.execute(f"DROP TABLE IF EXISTS {_name(store)}")
    except StoreError:
        _abandoned.add(token)


def _taken(store: Store, token: str) -> bool:
    try:
        store.execute(f"CREATE TABLE {_name(store)} (`{token}` UInt8) ENGINE = TinyLog")
    except StoreError:
        holder = _holder(store)
        if not holder:
            raise
        return holder == token
    return True


def _holder(store: Store) -> str:
    rows = store.query(
        "SELECT name FROM system.columns WHERE database = %(database)s AND table = %(table)s",
        {"database": store.database, "table": TABLE},
    ).rows
    return str(rows[0][0]) if rows else ""


def _break_if_abandoned(store: Store) -> None:
    holder = _holder(store)
    is_old = bool(holder) and _now(store) - int(holder.rpartition("_")[2]) >= STALE_S
    if not is_old and holder not in _abandoned:
        return
    running = store.query(
        "SELECT count() FROM system.processes WHERE position(query, %(holder)s) > 0"
        " AND position(query, 'system.processes') = 0",
        {"holder": holder},
    ).rows
    if not running[0][0]:
        store.execute(f"DROP TABLE IF EXISTS {_name(store)}")
        _abandoned.discard(holder)


def _now(store: Store) -> int:
    """The server's clock, in seconds: all that compete for the lock read the same one."""
    return int(store.query("SELECT toUInt32(now())").rows[0][0])


def _name(store: Store) -> str:
    return f"`{store.database}`.{TABLE}"
