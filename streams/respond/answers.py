"""What a switch answers to a call that a rule stops."""

from __future__ import annotations

from typing import NamedTuple

Q850_CALL_REJECTED = 21
"""ITU-T Q.850 cause 21, call rejected: what SIP 608 maps to in ISUP."""


class Answer(NamedTuple):
    sip_code: int
    sip_reason: str


REJECTED = Answer(608, "Rejected")
"""RFC 8688: an analytics engine rejected the call, not the callee."""
UNWANTED = Answer(607, "Unwanted")
"""RFC 8197: the callee refused such calls."""
DOES_NOT_EXIST = Answer(604, "Does Not Exist Anywhere")
"""RFC 3261: here said of the calling number, which cannot exist."""
FORBIDDEN = Answer(403, "Forbidden")
"""RFC 3261: the number exists and may not be used like this."""

BY_DETECTOR = {
    "unallocated": DOES_NOT_EXIST,
    "misrouted": FORBIDDEN,
    "foreign_gateway": FORBIDDEN,
    "policy": UNWANTED,
}

BY_KIND = {
    "not_assignable": FORBIDDEN,
    "refused": UNWANTED,
    "outside_hours": FORBIDDEN,
    "no_consent": FORBIDDEN,
    "aimed_at_refusers": REJECTED,
}


def answer_for(detector: str, kind: str) -> Answer:
    """The SIP final response for rules of this detector and kind of alert; 608 where nothing else fits."""
    return BY_KIND.get(kind) or BY_DETECTOR.get(detector, REJECTED)
