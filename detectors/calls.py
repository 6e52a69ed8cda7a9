"""The frame: what `detect` reads. One row is one call event as seen from one of its two ends.

A call event becomes two rows: one for the caller's number block (``role`` = CALLER) and one for the
callee's (``role`` = CALLEE). Rows are keyed by that block, so everything about one block, including
whether anybody calls it back, is on one partition.

A number of E.164 is an ``int64`` without its plus sign (``+8613800138000`` is ``8613800138000``); its
block is the number divided by 10 000. What cannot be normalised (letters, empty, a PBX extension) is a
negative ``int64`` that hashes the text as signalled; the text itself travels beside it.
"""

from __future__ import annotations

from enum import IntEnum

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import xxhash

BLOCK = 10_000
"""Numbers in one number block: an E.164 number without its last four digits names it."""


class Role(IntEnum):
    CALLER = 0
    CALLEE = 1


class EventType(IntEnum):
    ATTEMPT = 0
    END = 1
    CDR = 2


class NumberStatus(IntEnum):
    """What the numbering plan says of a number."""

    ALLOCATED = 0
    """In the plan, of a length and kind that can be in use."""
    UNALLOCATED = 1
    """No range of the plan holds it."""
    TOO_SHORT = 2
    TOO_LONG = 3
    SHORT_SERVICE = 4
    """A short service number of the home country (95…, 96…, 100…, 400…)."""
    EMERGENCY = 5
    """A number that must always be reachable (110, 119, 120, 122)."""
    TEXT = 6
    """Not a number that can be normalised: letters, an extension, a foreign dialling prefix."""
    HIDDEN = 7
    """Withheld or not given."""


class NumberKind(IntEnum):
    UNKNOWN = 0
    MOBILE = 1
    FIXED = 2
    FIXED_OR_MOBILE = 3
    TOLL_FREE = 4
    PREMIUM = 5
    SHARED_COST = 6
    VOIP = 7
    SERVICE = 8
    MACHINE = 9
    """Ranges for machines (IoT), never an ordinary caller."""
    OTHER = 10


class Gateway(IntEnum):
    NATIONAL = 0
    INTERNATIONAL = 1


class ReleasedBy(IntEnum):
    UNKNOWN = 0
    CALLER = 1
    CALLEE = 2
    NETWORK = 3


class Tristate(IntEnum):
    """A boolean that may be absent."""

    FALSE = 0
    TRUE = 1
    UNKNOWN = 2


UNKNOWN = -1
"""In ``ring_ms``, ``talk_ms``, ``cause``, ``sip_code``, ``presentation``, ``screening``: not given."""

TAIL = 1_000_000_000
"""``callee_tail`` is the callee's last nine signalled digits: what stays when dialling prefixes vary."""

_NAME = pa.dictionary(pa.int32(), pa.utf8())

FRAME_SCHEMA = pa.schema(
    [
        pa.field("role", pa.uint8(), nullable=False),
        pa.field("type", pa.uint8(), nullable=False),
        pa.field("time", pa.int64(), nullable=False),
        pa.field("event", pa.uint64(), nullable=False),
        pa.field("call", pa.uint64(), nullable=False),
        pa.field("id", pa.utf8(), nullable=False),
        pa.field("call_id", pa.utf8(), nullable=False),
        pa.field("caller", pa.int64(), nullable=False),
        pa.field("callee", pa.int64(), nullable=False),
        pa.field("caller_text", pa.utf8(), nullable=False),
        pa.field("callee_text", pa.utf8(), nullable=False),
        pa.field("caller_status", pa.uint8(), nullable=False),
        pa.field("callee_status", pa.uint8(), nullable=False),
        pa.field("caller_kind", pa.uint8(), nullable=False),
        pa.field("callee_kind", pa.uint8(), nullable=False),
        pa.field("caller_operator", _NAME, nullable=False),
        pa.field("callee_tail", pa.int64(), nullable=False),
        pa.field("from_network", _NAME, nullable=False),
        pa.field("to_network", _NAME, nullable=False),
        pa.field("trunk", _NAME, nullable=False),
        pa.field("probe", _NAME, nullable=False),
        pa.field("gateway", pa.uint8(), nullable=False),
        pa.field("answered", pa.uint8(), nullable=False),
        pa.field("ring_ms", pa.int32(), nullable=False),
        pa.field("talk_ms", pa.int32(), nullable=False),
        pa.field("cause", pa.int16(), nullable=False),
        pa.field("sip_code", pa.int16(), nullable=False),
        pa.field("released_by", pa.uint8(), nullable=False),
        pa.field("roaming", pa.uint8(), nullable=False),
        pa.field("presentation", pa.int8(), nullable=False),
        pa.field("screening", pa.int8(), nullable=False),
        pa.field("attest", _NAME, nullable=False),
        pa.field("verstat", _NAME, nullable=False),
        pa.field("redirecting", pa.int64(), nullable=False),
    ]
)
"""Columns of a frame, none of them null. An absent name is the empty string, an absent number 0 in
``redirecting`` and ``UNKNOWN`` elsewhere. ``time`` is ms since the epoch, UTC. ``event`` and ``call`` are
``text_hash`` of ``id`` and ``call_id``. ``caller_text`` and ``callee_text`` hold the text as signalled
where the number is negative, else the empty string. Schema metadata: ``plan_version``."""


def text_hash(text: str) -> int:
    """The 64-bit xxh3 hash of ``text`` in UTF-8: 0 <= hash < 2**64, the same on every machine."""
    return xxhash.xxh3_64_intdigest(text.encode("utf-8", "surrogatepass"))


def text_number(text: str) -> int:
    """The negative ``int64`` that stands for a caller or callee that cannot be normalised."""
    return -1 - (text_hash(text) >> 1)


def block_of(number: int) -> int:
    """The number block; of a text number itself, since texts have no neighbours."""
    return number // BLOCK if number >= 0 else number


def partition_of(numbers: npt.NDArray[np.int64], partitions: int) -> npt.NDArray[np.int64]:
    """Partition of each number's block: splitmix64 of the block, modulo ``partitions``. Shape as given."""
    block = np.where(numbers >= 0, numbers // BLOCK, numbers).astype(np.uint64)
    z = block + np.uint64(0x9E3779B97F4A7C15)
    z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    z = z ^ (z >> np.uint64(31))
    return (z % np.uint64(partitions)).astype(np.int64)


def spell(number: int, text: str) -> str:
    """How a person reads a caller or callee: ``+`` and digits, or the text as signalled."""
    return f"+{number}" if number >= 0 else text
