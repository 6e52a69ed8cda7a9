"""The call event: one record, or one of the objects in a record, of `calls`.

The contract is config/schemas/call-event.json and docs/call-events.md. Everything but the five required
fields may be absent or null, which means the same: not given. Unknown fields are ignored.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Annotated, Literal

import msgspec
from msgspec import Meta

EARLIEST_TIME = 946_684_800_000
"""2000-01-01T00:00:00Z in ms: an earlier time is a broken clock or is given in seconds."""
LATEST_TIME = 4_102_444_800_000
"""2100-01-01T00:00:00Z in ms."""
NUMBER_LENGTH = 64
"""Letters of a caller, callee or redirecting number: the user part of a SIP address, with room to spare."""
NAME_LENGTH = 64
"""Letters of a network, trunk, probe or verification status."""
ID_LENGTH = 128
LONGEST_MS = 2**31 - 1
"""The longest ring or talk time, 24.8 days: what a frame's int32 holds."""

_Id = Annotated[str, Meta(min_length=1, max_length=ID_LENGTH)]
_Name = Annotated[str, Meta(max_length=NAME_LENGTH)]
_Number = Annotated[str, Meta(max_length=NUMBER_LENGTH)]
_SevenBits = Annotated[int, Meta(ge=0, le=127)]
_TwoBits = Annotated[int, Meta(ge=0, le=3)]
_Duration = Annotated[int, Meta(ge=0, le=LONGEST_MS)]


class CallEvent(msgspec.Struct, gc=False, omit_defaults=True):
    """One call event, as it is written and read. Decoding checks types, ranges and lengths."""

    id: _Id
    type: Literal["attempt", "end", "cdr"]
    time: Annotated[int, Meta(ge=EARLIEST_TIME, le=LATEST_TIME)]
    """ms since the epoch, UTC: of the seizure (attempt, cdr) or the release (end)."""
    caller: _Number
    callee: Annotated[str, Meta(min_length=1, max_length=NUMBER_LENGTH)]
    call_id: Annotated[str, Meta(max_length=ID_LENGTH)] | None = None
    """The same for all events of one call; ``id`` where absent or empty."""
    caller_noa: _SevenBits | None = None
    callee_noa: _SevenBits | None = None
    presentation: _TwoBits | None = None
    screening: _TwoBits | None = None
    redirecting: _Number | None = None
    from_network: _Name | None = None
    to_network: _Name | None = None
    trunk: _Name | None = None
    gateway: Literal["national", "international"] | None = None
    probe: _Name | None = None
    answered: bool | None = None
    ring_ms: _Duration | None = None
    talk_ms: _Duration | None = None
    cause: _SevenBits | None = None
    sip_code: Annotated[int, Meta(ge=100, le=699)] | None = None
    released_by: Literal["caller", "callee", "network"] | None = None
    attest: Literal["A", "B", "C"] | None = None
    verstat: _Name | None = None
    roaming: bool | None = None


_encoder = msgspec.json.Encoder()


def encode(event: CallEvent) -> bytes:
    """One JSON object without the fields that are not given. Nothing is checked: that is `ingest`'s part."""
    return _encoder.encode(event)


def encode_lines(events: Iterable[CallEvent]) -> bytes:
    """One JSON object a line, each line ended."""
    return _encoder.encode_lines(events)
