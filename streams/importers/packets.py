"""Packet captures (pcap and pcapng) as UDP datagrams with their time and addresses."""

from __future__ import annotations

import ipaddress
import logging
import struct
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple

import dpkt

from streams.importers.files import ImportProblem

LONGEST_BLOCK = 1 << 24
"""A capture that claims a longer packet is damaged; reading it would take the memory it claims."""

_PCAP = (b"\xd4\xc3\xb2\xa1", b"\xa1\xb2\xc3\xd4", b"\x4d\x3c\xb2\xa1", b"\xa1\xb2\x3c\x4d")
_PCAPNG = b"\x0a\x0d\x0d\x0a"

_log = logging.getLogger(__name__)


class Datagram(NamedTuple):
    time: int
    """ms since the epoch, UTC."""
    source: str
    target: str
    """IP addresses as text."""
    payload: bytes


def datagrams(stream: BinaryIO, path: Path) -> Iterator[Datagram]:
    """The UDP datagrams of a capture.

    Of a fragmented one its first fragment, which holds the headers of SIP; other packets and broken ones are
    left out. A capture that is cut off ends where it is cut. Raises ImportProblem where it is none.
    """
    for seconds, packet, unpack in _packets(stream, path):
        try:
            found = _datagram(unpack(packet))
        except (dpkt.UnpackError, AttributeError, ValueError, IndexError):
            continue
        if found is not None:
            yield Datagram(round(seconds * 1_000), *found)


def _packets(stream: BinaryIO, path: Path) -> Iterator[tuple[float, bytes, Callable[[bytes], Any]]]:
    magic = stream.peek(4)[:4]  # type: ignore[attr-defined]
    if magic not in _PCAP and magic != _PCAPNG:
        raise ImportProblem(
            f"{path}: begins with {magic.hex(' ') or 'nothing'}; expected a pcap or pcapng capture"
        )
    bounded = _Bounded(stream, path)
    try:
        reader = dpkt.pcapng.Reader(bounded) if magic == _PCAPNG else dpkt.pcap.Reader(bounded)
        unpack = _UNPACK.get(reader.datalink())
        if unpack is None:
            known = ", ".join(map(str, _UNPACK))
            raise ImportProblem(f"{path}: link type {reader.datalink()}; expected one of {known}")
        for seconds, packet in reader:
            yield float(seconds), packet, unpack
    except (dpkt.UnpackError, struct.error, ValueError) as error:
        _log.warning("%s: damaged or cut short (%s); what stands before was read", path, error)


class _Bounded:
    """What dpkt's readers ask of a file, refusing reads that only a damaged capture asks for."""

    name = "capture"

    def __init__(self, stream: BinaryIO, path: Path) -> None:
        self._stream, self._path = stream, path

    def read(self, size: int = -1) -> bytes:
        if not 0 <= size <= LONGEST_BLOCK:
            raise ValueError(f"a packet of {size} bytes")
        return self._stream.read(size)

    def fileno(self) -> int:
        return self._stream.fileno()

    def seek(self, offset: int, whence: int = 0) -> int:
        return self._stream.seek(offset, whence)


def _ethernet(packet: bytes) -> Any:
    return dpkt.ethernet.Ethernet(packet).data


def _cooked(packet: bytes) -> Any:
    return dpkt.sll.SLL(packet).data


def _cooked2(packet: bytes) -> Any:
    return dpkt.sll2.SLL2(packet).data


def _loopback(packet: bytes) -> Any:
    return _raw(packet[4:])


def _raw(packet: bytes) -> Any:
    return dpkt.ip6.IP6(packet) if packet[0] >> 4 == 6 else dpkt.ip.IP(packet)


_UNPACK: dict[int, Callable[[bytes], Any]] = {
    0: _loopback,
    1: _ethernet,
    12: _raw,
    101: _raw,
    108: _loopback,
    113: _cooked,
    228: _raw,
    229: _raw,
    276: _cooked2,
}
"""By link type: the IP packet in a captured packet."""


def _datagram(ip: Any) -> tuple[str, str, bytes] | None:
    if isinstance(ip, dpkt.ip.IP):
        if ip.offset:
            return None
    elif isinstance(ip, dpkt.ip6.IP6):
        fragment = ip.extension_hdrs.get(dpkt.ip.IP_PROTO_FRAGMENT)
        if fragment is not None and fragment.frag_off:
            return None
    else:
        return None
    if not isinstance(ip.data, dpkt.udp.UDP):
        return None
    return str(ipaddress.ip_address(ip.src)), str(ipaddress.ip_address(ip.dst)), bytes(ip.data.data)
