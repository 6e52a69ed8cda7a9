"""SIP in packet captures: calls as they go, and captures as they are."""

from __future__ import annotations

import base64
import gzip
import io
import ipaddress
import json
import struct
from pathlib import Path
from typing import Any

import dpkt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from streams.importers import ImportProblem, capture, open_events, sip

A, B = "192.0.2.1", "198.51.100.2"
START = 1_772_416_800.0


def request(
    method: str = "INVITE", sequence: int = 1, call_id: str = "c1", uri: str = "sip:95588@b", **headers: str
) -> bytes:
    given_headers = {
        "From": "<sip:+8613800138000@a>;tag=caller",
        "To": f"<{uri}>",
        "Call-ID": call_id,
        "CSeq": f"{sequence} {method}",
    } | {name.replace("_", "-"): value for name, value in headers.items()}
    return _message(f"{method} {uri} SIP/2.0", given_headers)


def response(
    status: int, sequence: int = 1, method: str = "INVITE", call_id: str = "c1", **more: str
) -> bytes:
    headers = {"Call-ID": call_id, "CSeq": f"{sequence} {method}"} | more
    return _message(f"SIP/2.0 {status} Whatever", headers)


def _message(first: str, headers: dict[str, str]) -> bytes:
    return "\r\n".join([first, *(f"{n}: {v}" for n, v in headers.items()), "", "v=0"]).encode()


def udp(payload: bytes, source: str = A, target: str = B) -> bytes:
    datagram = dpkt.udp.UDP(sport=5060, dport=5060, data=payload)
    datagram.ulen = len(datagram)
    addresses = ipaddress.ip_address(source), ipaddress.ip_address(target)
    if addresses[0].version == 6:
        ip = dpkt.ip6.IP6(src=addresses[0].packed, dst=addresses[1].packed, nxt=17, data=datagram)
        ip.plen = len(datagram)
        return bytes(dpkt.ethernet.Ethernet(type=dpkt.ethernet.ETH_TYPE_IP6, data=ip))
    ip = dpkt.ip.IP(src=addresses[0].packed, dst=addresses[1].packed, p=17, data=datagram)
    ip.len = len(ip)
    return bytes(dpkt.ethernet.Ethernet(data=ip))


def pcap(packets: list[tuple[float, bytes]], linktype: int = 1) -> bytes:
    out = io.BytesIO()
    writer = dpkt.pcap.Writer(out, linktype=linktype)
    for seconds, packet in packets:
        writer.writepkt(packet, ts=START + seconds)
    return out.getvalue()


def pcapng(packets: list[tuple[float, bytes]]) -> bytes:
    out = io.BytesIO()
    writer = dpkt.pcapng.Writer(out)
    for seconds, packet in packets:
        writer.writepkt(packet, ts=START + seconds)
    return out.getvalue()


def read(tmp_path: Path, content: bytes, name: str = "calls.pcap") -> list[dict[str, Any]]:
    path = tmp_path / name
    path.write_bytes(content)
    return [json.loads(line) for r in open_events(path) for line in r.value.splitlines()]


def calls(tmp_path: Path, *packets: tuple[float, bytes]) -> list[dict[str, Any]]:
    return read(tmp_path, pcap([(seconds, udp(payload)) for seconds, payload in packets]))


def test_an_answered_call(tmp_path: Path) -> None:
    attempt, end = calls(
        tmp_path,
        (0, request()),
        (0.1, response(100)),
        (1, response(180)),
        (1.5, response(183)),
        (5, response(200)),
        (5.1, request("ACK")),
        (65, request("BYE", 2, To="<sip:95588@b>;tag=callee")),
        (65.1, response(200, 2, "BYE")),
    )
    ident = attempt.pop("id")
    assert attempt == {
        "type": "attempt",
        "time": 1_772_416_800_000,
        "caller": "+8613800138000",
        "callee": "95588",
        "call_id": "c1",
        "trunk": A,
        "probe": B,
    }
    assert end["id"] != ident
    assert (end["time"], end["answered"], end["ring_ms"], end["talk_ms"]) == (
        1_772_416_865_000,
        True,
        4_000,
        60_000,
    )
    assert (end["cause"], end["sip_code"], end["released_by"]) == (16, 200, "caller")


def test_the_callee_hangs_up_and_gives_a_reason(tmp_path: Path) -> None:
    bye = request("BYE", 1, From="<sip:95588@b>;tag=callee", Reason='SIP;cause=200, Q.850;cause=31;text="x"')
    end = calls(tmp_path, (0, request()), (1, response(200)), (2, bye))[-1]
    assert (end["released_by"], end["cause"], end["talk_ms"]) == ("callee", 31, 1_000)
    assert "ring_ms" not in end


def test_the_caller_gives_up(tmp_path: Path) -> None:
    events = calls(
        tmp_path,
        (0, request()),
        (1, response(180)),
        (3, request("CANCEL")),
        (3.1, response(200, 1, "CANCEL")),
        (3.2, response(487)),
    )
    assert len(events) == 2
    end = events[-1]
    assert (end["sip_code"], end["released_by"], end["ring_ms"], end["answered"]) == (
        487,
        "caller",
        2_000,
        False,
    )


@pytest.mark.parametrize(
    ("status", "cause", "by"),
    [
        (486, 17, "callee"),
        (404, 1, "network"),
        (480, 18, "network"),
        (603, 21, "callee"),
        (599, 127, "network"),
    ],
)
def test_a_refused_call_has_the_cause_of_its_status(tmp_path: Path, status: int, cause: int, by: str) -> None:
    end = calls(tmp_path, (0, request()), (1, response(status)))[-1]
    assert (end["sip_code"], end["cause"], end["released_by"]) == (status, cause, by)


def test_a_challenge_is_not_the_end_when_credentials_follow(tmp_path: Path) -> None:
    events = calls(
        tmp_path, (0, request()), (0.1, response(401)), (0.2, request(sequence=2)), (3, response(503, 2))
    )
    assert [(e["type"], e.get("sip_code")) for e in events] == [("attempt", None), ("end", 503)]


def test_a_challenge_that_nobody_answers_is_the_end(tmp_path: Path) -> None:
    events = calls(
        tmp_path,
        (0, request()),
        (0.1, response(407)),
        (10, request(call_id="c2")),
        (60, request(call_id="c3")),
    )
    assert [(e["type"], e["call_id"], e.get("sip_code")) for e in events] == [
        ("attempt", "c1", None),
        ("end", "c1", 407),
        ("attempt", "c2", None),
        ("attempt", "c3", None),
    ]


def test_what_is_sent_again_is_the_same_call(tmp_path: Path) -> None:
    again = [(s, request()) for s in (0, 0.5, 1.5)]
    late = [(2.0, response(486)), (2.5, request()), (3.0, response(486))]
    reinvite = (2.2, request(sequence=3, To="<sip:b>;tag=t"))
    events = calls(tmp_path, *again, *late, reinvite)
    assert [e["type"] for e in events] == ["attempt", "end"]


def test_a_call_id_used_again_much_later_is_another_call(tmp_path: Path) -> None:
    events = calls(tmp_path, (0, request()), (1, response(404)), (100, request()), (101, response(404)))
    assert [e["type"] for e in events] == ["attempt", "end"] * 2
    assert len({e["id"] for e in events}) == 4


def test_who_calls_and_who_vouches(tmp_path: Path) -> None:
    claims = (
        base64.urlsafe_b64encode(json.dumps({"attest": "B", "orig": {"tn": "1"}}).encode())
        .rstrip(b"=")
        .decode()
    )
    (event,) = calls(
        tmp_path,
        (
            0,
            request(
                uri="sip:+86-138-0013-8001;npdi@b;user=phone",
                From='"Anonymous" <sip:anonymous@anonymous.invalid>;tag=1',
                P_Asserted_Identity='"A <x>" <tel:+8613800138000;verstat=TN-Validation-Passed>',
                Privacy="id;critical",
                Diversion="<sip:+8613900139000@c>;reason=unconditional",
                Identity=f"aGVhZA.{claims}.c2ln;info=<https://cert.example>;alg=ES256",
            ),
        ),
    )
    assert event["caller"] == "+8613800138000"
    assert event["callee"] == "+8613800138001"
    assert (event["presentation"], event["verstat"], event["attest"]) == (1, "TN-Validation-Passed", "B")
    assert event["redirecting"] == "+8613900139000"


def test_a_hidden_caller_without_identity_is_empty(tmp_path: Path) -> None:
    (event,) = calls(tmp_path, (0, request(From="<sip:anonymous@anonymous.invalid>;tag=1")))
    assert (event["caller"], event["presentation"]) == ("", 1)


@pytest.mark.parametrize(
    ("address", "user"),
    [
        ("200<sip:200@192.0.2.1>;tag=1", "200"),
        ("sip:+1-201-555-0123@h:5060;transport=udp", "+12015550123"),
        ("<sip:alice:secret@h>", "alice"),
        ("tel:+86-138;phone-context=x", "+86138"),
        ('"<sip:x@y>" <sip:real@h>', "real"),
        ("sip:host.only", ""),
        ("nonsense", ""),
    ],
)
def test_users_of_addresses(address: str, user: str) -> None:
    assert sip.user_of(address) == user


def test_headers_in_short_form_and_folded() -> None:
    text = b"INVITE sip:1@h SIP/2.0\r\ni: x\r\nf: <sip:2@h>\r\n ;tag=7\r\nCSEQ : 4 INVITE\r\nbad line\r\n\r\n"
    message = sip.parse(text)
    assert message is not None
    assert (message.call_id, message.from_tag, message.sequence) == ("x", "7", 4)


class TestCaptures:
    call = ((0.0, request()), (1.0, response(486)))

    def packets(self, source: str = A, target: str = B) -> list[tuple[float, bytes]]:
        return [(s, udp(p, source, target)) for s, p in self.call]

    def test_pcapng_and_gzip(self, tmp_path: Path) -> None:
        plain = read(tmp_path, pcap(self.packets()))
        assert len(plain) == 2
        assert read(tmp_path, pcapng(self.packets()), "calls.pcapng") == plain
        assert read(tmp_path, gzip.compress(pcap(self.packets())), "calls.pcap.gz") == plain

    def test_ipv6(self, tmp_path: Path) -> None:
        attempt, _ = read(tmp_path, pcap(self.packets("2001:db8::1", "2001:db8::2")))
        assert (attempt["trunk"], attempt["probe"]) == ("2001:db8::1", "2001:db8::2")

    @pytest.mark.parametrize(
        ("linktype", "before"),
        [
            (101, b""),
            (0, b"\x02\x00\x00\x00"),
            (113, b"\x00\x00\x00\x01\x00\x06" + bytes(8) + b"\x08\x00"),
            (276, b"\x08\x00" + bytes(18)),
            (1, bytes(12) + b"\x81\x00\x00\x05\x08\x00"),
        ],
    )
    def test_other_links(self, tmp_path: Path, linktype: int, before: bytes) -> None:
        packets = [(s, before + packet[14:]) for s, packet in self.packets()]
        assert len(read(tmp_path, pcap(packets, linktype))) == 2

    def test_an_unknown_link_is_said(self, tmp_path: Path) -> None:
        with pytest.raises(ImportProblem, match="link type 147; expected one of 0, 1, 12"):
            read(tmp_path, pcap(self.packets(), linktype=147))

    def test_the_first_fragment_is_enough(self, tmp_path: Path) -> None:
        whole = dpkt.ethernet.Ethernet(self.packets()[0][1]).data
        first = dpkt.ip.IP(src=whole.src, dst=whole.dst, p=17, data=bytes(whole.data)[:-2])
        first.mf, first.len = 1, len(first)
        second = dpkt.ip.IP(src=whole.src, dst=whole.dst, p=17, data=b"=0")
        second.offset, second.len = 184, len(second)
        frames = [(0.0, bytes(dpkt.ethernet.Ethernet(data=f))) for f in (first, second)]
        assert [e["type"] for e in read(tmp_path, pcap(frames))] == ["attempt"]

    def test_what_stands_before_a_cut_is_read(self, tmp_path: Path) -> None:
        content = pcap([*self.packets(), (5, udp(request(call_id="c9")))])
        for cut in (1, 40, 100):
            assert len(read(tmp_path, content[:-cut])) >= 2

    def test_a_length_beyond_reason_takes_no_memory(self, tmp_path: Path) -> None:
        content = pcap(self.packets()) + struct.pack("<IIII", 0, 0, 2**31, 2**31)
        assert len(read(tmp_path, content)) == 2

    def test_no_capture(self, tmp_path: Path) -> None:
        with pytest.raises(ImportProblem, match="begins with 68 65 6c 6c; expected a pcap or pcapng"):
            read(tmp_path, b"hello")

    @settings(deadline=None)
    @given(st.binary(max_size=300), st.integers(0, 400))
    def test_noise_in_a_packet_breaks_nothing(self, noise: bytes, at: int) -> None:
        good = udp(request())
        broken = good[:at] + noise + good[at + len(noise) :]
        stream = io.BufferedReader(io.BytesIO(pcap([(0, noise), (1, broken), *self.packets()])))
        assert len(list(capture.events(stream, Path("x")))) >= 2

    def test_open_calls_are_bounded(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(capture, "OPEN_CALLS", 10)
        packets = [(i / 1000, udp(request(call_id=f"c{i}"))) for i in range(100)]
        stream = io.BufferedReader(io.BytesIO(pcap(packets)))
        assert len(list(capture.events(stream, Path("x")))) == 100
