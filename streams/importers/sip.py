"""SIP messages (RFC 3261), as far as a call event needs them."""

from __future__ import annotations

import base64
import binascii
import re
from typing import NamedTuple

import msgspec

LONGEST = 65_535
"""Bytes of a message that are looked at: all that a datagram holds."""

_COMPACT = {
    "f": "from",
    "t": "to",
    "i": "call-id",
    "m": "contact",
    "v": "via",
    "l": "content-length",
    "y": "identity",
}
_STATUS = re.compile(r"SIP/2\.0 (\d{3})(?: |$)")
_REQUEST = re.compile(r"([A-Z]+) (\S+) SIP/2\.0$")
_IN_BRACKETS = re.compile(r"<([^>]*)>")
_QUOTED = re.compile(r'"(?:[^"\\]|\\.)*"')
_URI = re.compile(r"(sips?|tel):(?:([^@]*)@)?(.*)", re.IGNORECASE | re.DOTALL)
_TAG = re.compile(r";\s*tag\s*=\s*([^;,\s]+)", re.IGNORECASE)
_Q850 = re.compile(r"Q\.850\s*;[^,]*?cause\s*=\s*(\d+)", re.IGNORECASE)
_VERSTAT = re.compile(r";\s*verstat\s*=\s*([\w-]+)", re.IGNORECASE)
_VISIBLE_SEPARATORS = str.maketrans("", "", "-.()")

CAUSE_OF_STATUS = {
    400: 41, 401: 21, 402: 21, 403: 21, 404: 1, 405: 63, 406: 79, 407: 21, 408: 102, 410: 22,
    413: 127, 414: 127, 415: 79, 416: 127, 420: 127, 421: 127, 423: 127, 480: 18, 481: 41,
    482: 25, 483: 25, 484: 28, 485: 1, 486: 17, 487: 16, 500: 41, 501: 79, 502: 38, 503: 41,
    504: 102, 505: 127, 513: 127, 600: 17, 603: 21, 604: 1, 607: 21, 608: 21,
}  # fmt: skip
"""Q.850 cause of a final response: RFC 3398 section 8.2.6.1, and 487, 607 and 608, which it does not list."""
NORMAL_CLEARING = 16
INTERWORKING = 127
"""For the responses that RFC 3398 does not list."""


class Message(NamedTuple):
    method: str
    """Of the request, or of the one that a response answers."""
    status: int
    """0 for a request."""
    uri: str
    """Request-URI; empty for a response."""
    headers: dict[str, str]
    """By lower-case long name; several of one name are joined by commas."""

    @property
    def call_id(self) -> str:
        return self.headers.get("call-id", "")

    @property
    def from_tag(self) -> str:
        return _tag(self.headers.get("from", ""))

    @property
    def to_tag(self) -> str:
        return _tag(self.headers.get("to", ""))

    @property
    def sequence(self) -> int:
        number = self.headers.get("cseq", "").split(maxsplit=1)[:1]
        return int(number[0]) if number and number[0].isdecimal() and len(number[0]) <= 10 else 0


class Party(NamedTuple):
    number: str
    hidden: bool
    verstat: str


def parse(payload: bytes) -> Message | None:
    """The SIP message in a datagram; None where it holds none, or one without a Call-ID.

    A message that is cut off, by its capture or by fragmentation, counts as far as its headers go.
    """
    head = payload[:LONGEST].partition(b"\r\n\r\n")[0].decode("utf-8", "replace")
    first, _, rest = head.partition("\r\n")
    status, request = _STATUS.match(first), _REQUEST.match(first)
    if not status and not request:
        return None
    headers = _headers(rest)
    if not headers.get("call-id"):
        return None
    if request:
        return Message(request[1], 0, request[2], headers)
    assert status is not None
    method = headers.get("cseq", "").split()[1:2]
    return Message(method[0].upper() if method else "", int(status[1]), "", headers)


def _headers(text: str) -> dict[str, str]:
    headers: dict[str, str] = {}
    for line in text.replace("\r\n ", " ").replace("\r\n\t", " ").split("\r\n"):
        name, colon, value = line.partition(":")
        if not colon:
            continue
        name = name.strip().lower()
        name = _COMPACT.get(name, name)
        headers[name] = f"{headers[name]},{value.strip()}" if name in headers else value.strip()
    return headers


def _tag(address: str) -> str:
    found = _TAG.search(address)
    return found[1] if found else ""


def user_of(address: str) -> str:
    """The user part, or the telephone number, of the first URI in a header or a request line."""
    return _split_user(address)[0]


def _split_user(address: str) -> tuple[str, str]:
    """The user part without its parameters, and the host."""
    unquoted = _QUOTED.sub("", address)
    bracketed = _IN_BRACKETS.search(unquoted)
    uri = _URI.match(bracketed[1].strip() if bracketed else unquoted.strip())
    if uri is None:
        return "", ""
    scheme, user, host = uri.groups()
    if scheme.lower() == "tel":
        user, host = host, ""
    name = (user or "").partition(";")[0].partition(":")[0]
    return (name.translate(_VISIBLE_SEPARATORS) if name[:1] in "+0123456789" else name), host.partition(";")[
        0
    ]


def caller_of(message: Message) -> Party:
    """Who calls: P-Asserted-Identity (RFC 3325) or From; hidden where Privacy (RFC 3323) or From says so."""
    sender = message.headers.get("from", "")
    asserted = message.headers.get("p-asserted-identity", "")
    user, host = _split_user(sender)
    anonymous = host.lower().endswith("anonymous.invalid") or user.lower() == "anonymous"
    private = {part.strip().lower() for part in re.split("[;,]", message.headers.get("privacy", ""))}
    number = user_of(asserted) or ("" if anonymous else user)
    verstat = _VERSTAT.search(asserted) or _VERSTAT.search(sender)
    return Party(number, anonymous or bool(private & {"id", "user", "header"}), verstat[1] if verstat else "")


def attestation(message: Message) -> str:
    """The ``attest`` claim (RFC 8588) of the Identity header: A, B, C, or empty. It is not verified here."""
    claims = message.headers.get("identity", "").partition(";")[0].split(".")
    if len(claims) != 3:
        return ""
    try:
        payload = msgspec.json.decode(base64.urlsafe_b64decode(claims[1] + "=" * (-len(claims[1]) % 4)))
    except (binascii.Error, ValueError):
        return ""
    attest = payload.get("attest", "") if isinstance(payload, dict) else ""
    return attest if attest in ("A", "B", "C") else ""


def cause_of(message: Message) -> int | None:
    """The Q.850 cause that a Reason header names (RFC 3326)."""
    found = _Q850.search(message.headers.get("reason", ""))
    return int(found[1]) if found and int(found[1]) <= 127 else None
