"""SIP calls in a packet capture as call events: an attempt at the first INVITE, an end at the release."""

from __future__ import annotations

import heapq
from collections import OrderedDict
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, BinaryIO, Literal

import xxhash

from streams.importers import sip
from streams.importers.packets import Datagram, datagrams
from streams.importers.table import Timed
from streams.wire.calls import ID_LENGTH, NUMBER_LENGTH, CallEvent, encode

SETTLE_MS = 32_000
"""SIP's transaction time-out (64 * T1, RFC 3261): how long a challenged INVITE may come again with
credentials, and an ended call is remembered, so that a repeated INVITE does not begin another."""
OPEN_CALLS = 200_000
"""Calls followed at once; beyond, the longest untouched is given up without an end."""

_AUTHENTICATE = (401, 407)


@dataclass(slots=True)
class _Call:
    call_id: str
    caller_tag: str
    sequence: int
    start: int
    set_up: dict[str, Any] = field(repr=False)
    touched: int
    ringing: int | None = None
    answered: int | None = None
    challenged: sip.Message | None = None
    ended: bool = False


def events(stream: BinaryIO, path: Path) -> Iterator[Timed]:
    """The call events of a capture, by time. Raises ImportProblem where it is no capture.

    One call is one Call-ID: an INVITE that is sent again with credentials belongs to the call, and so do
    re-INVITEs. The trunk is the address that the INVITE came from, the probe the one it went to.
    """
    calls = _Calls()
    for datagram in datagrams(stream, path):
        message = sip.parse(datagram.payload)
        if message is not None:
            yield from calls.settled(datagram.time - SETTLE_MS)
            calls.see(datagram, message)
    yield from calls.rest()


class _Calls:
    """Every call that is going on, and the events whose time has not come."""

    def __init__(self) -> None:
        self._calls: OrderedDict[str, _Call] = OrderedDict()
        """By Call-ID, the longest untouched first."""
        self._held: list[tuple[int, int, CallEvent]] = []
        self._order = 0

    def settled(self, time: int) -> Iterator[Timed]:
        """The events up to ``time``, which nothing can change or precede any more."""
        while self._calls and (call := next(iter(self._calls.values()))).touched <= time:
            if call.challenged is not None:
                self._refused(call, call.challenged, call.touched)
            if call.ended:
                del self._calls[call.call_id]
            else:
                self._touch(call, time + SETTLE_MS)
        while len(self._calls) > OPEN_CALLS:
            self._calls.popitem(last=False)
        while self._held and (self._held[0][0] <= time or len(self._held) > OPEN_CALLS):
            yield _timed(heapq.heappop(self._held))

    def rest(self) -> Iterator[Timed]:
        for call in list(self._calls.values()):
            if call.challenged is not None:
                self._refused(call, call.challenged, call.touched)
        while self._held:
            yield _timed(heapq.heappop(self._held))

    def see(self, datagram: Datagram, message: sip.Message) -> None:
        call = self._calls.get(message.call_id)
        if message.status:
            if call is not None and message.method == "INVITE":
                self._response(call, datagram.time, message)
        elif message.method == "INVITE":
            self._invite(call, datagram, message)
        elif call is None or call.ended:
            return
        elif message.method == "CANCEL" and call.answered is None:
            self._end(call, datagram.time, sip_code=487, released_by="caller", cause=sip.cause_of(message))
        elif message.method == "BYE" and call.answered is not None:
            by: Literal["caller", "callee"] = "caller" if message.from_tag == call.caller_tag else "callee"
            self._end(call, datagram.time, sip_code=200, released_by=by, cause=sip.cause_of(message))

    def _invite(self, call: _Call | None, datagram: Datagram, message: sip.Message) -> None:
        if message.to_tag:
            return
        if call is None:
            self._begin(datagram, message)
        elif call.challenged is not None and message.sequence > call.sequence:
            call.challenged = None
            call.sequence = message.sequence
            self._touch(call, datagram.time)

    def _begin(self, datagram: Datagram, message: sip.Message) -> None:
        caller = sip.caller_of(message)
        set_up = _given(
            call_id=_identifier(message.call_id),
            caller=caller.number[:NUMBER_LENGTH],
            callee=(sip.user_of(message.uri) or message.uri)[:NUMBER_LENGTH],
            presentation=1 if caller.hidden else None,
            redirecting=sip.user_of(message.headers.get("diversion", ""))[:NUMBER_LENGTH] or None,
            trunk=datagram.source,
            probe=datagram.target,
            attest=sip.attestation(message) or None,
            verstat=caller.verstat[:NUMBER_LENGTH] or None,
        )
        call = _Call(
            message.call_id, message.from_tag, message.sequence, datagram.time, set_up, touched=datagram.time
        )
        self._calls[message.call_id] = call
        self._hold(call, "attempt", datagram.time, {})

    def _response(self, call: _Call, time: int, message: sip.Message) -> None:
        if (
            call.ended
            or call.answered is not None
            or message.status == 100
            or message.sequence < call.sequence
        ):
            return
        self._touch(call, time)
        if message.status < 200:
            if message.status in (180, 183) and call.ringing is None:
                call.ringing = time
        elif message.status < 300:
            call.answered = time
        elif message.status in _AUTHENTICATE:
            call.challenged = message
        else:
            self._refused(call, message, time)

    def _refused(self, call: _Call, message: sip.Message, time: int) -> None:
        cause = sip.cause_of(message)
        self._end(call, time, sip_code=message.status, released_by=_refuser(message.status), cause=cause)

    def _end(
        self,
        call: _Call,
        time: int,
        sip_code: int,
        released_by: Literal["caller", "callee", "network"],
        cause: int | None,
    ) -> None:
        answered = call.answered is not None
        rang_until = call.answered if call.answered is not None else time
        usual = sip.NORMAL_CLEARING if answered else sip.CAUSE_OF_STATUS.get(sip_code, sip.INTERWORKING)
        ended = _given(
            answered=answered,
            ring_ms=max(0, rang_until - call.ringing) if call.ringing is not None else None,
            talk_ms=max(0, time - call.answered) if call.answered is not None else 0,
            cause=usual if cause is None else cause,
            sip_code=sip_code,
            released_by=released_by,
        )
        call.ended, call.challenged = True, None
        self._touch(call, time)
        self._hold(call, "end", time, ended)

    def _touch(self, call: _Call, time: int) -> None:
        call.touched = time
        self._calls.move_to_end(call.call_id)

    def _hold(self, call: _Call, kind: Literal["attempt", "end"], time: int, more: dict[str, Any]) -> None:
        name = f"{xxhash.xxh3_64_hexdigest(call.call_id.encode())}-{call.start}-{kind}"
        event = CallEvent(id=name, type=kind, time=time, **call.set_up, **more)
        self._order += 1
        heapq.heappush(self._held, (time, self._order, event))


def _timed(held: tuple[int, int, CallEvent]) -> Timed:
    return Timed(held[0], encode(held[2]))


def _given(**fields: Any) -> dict[str, Any]:
    return {name: value for name, value in fields.items() if value is not None}


def _identifier(call_id: str) -> str:
    return call_id if len(call_id) <= ID_LENGTH else xxhash.xxh3_128_hexdigest(call_id.encode())


def _refuser(status: int) -> Literal["caller", "callee", "network"]:
    """Busy, declined and unwanted are the callee's doing; given up is the caller's."""
    if status == 487:
        return "caller"
    return "callee" if status in (486, 600, 603, 607) else "network"
