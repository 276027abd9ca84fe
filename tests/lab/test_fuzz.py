"""Whatever comes in, the lab answers or closes, and goes on."""

from __future__ import annotations

import dns.message
import dns.rdatatype
from hypothesis import given, settings
from hypothesis import strategies as st
from lab_clients import RawClient, Running

from ekiden.lab.dns import NameServer
from ekiden.lab.records import Records
from ekiden.lab.smtp import LAB_FAILED

COMMANDS = [
    b"EHLO me\r\n",
    b"HELO me\r\n",
    b"MAIL FROM:<a@b.test>\r\n",
    b"MAIL FROM:<> SIZE=1 BODY=8BITMIME\r\n",
    b"RCPT TO:<u@accept.lab.test>\r\n",
    b"RCPT TO:<postmaster>\r\n",
    b"RCPT TO:<\xff@reject.lab.test> NOTIFY=NEVER\r\n",
    b"RCPT TO:<full@\xff>\r\n",
    b"DATA\r\n",
    b".\r\n",
    b"\r\n",
    b"RSET\r\n",
    b"NOOP\r\n",
    b"\xe3\x81\x82\r\n",
    b"EHLO \xff\r\x00\r\n",
    b"MAIL FROM:<a@b.test> SIZE=" + b"9" * 5000 + b"\r\n",
]


@settings(max_examples=60)
@given(st.lists(st.one_of(st.sampled_from(COMMANDS), st.binary(max_size=40)), max_size=14))
def test_any_dialogue(running: Running, pieces: list[bytes]) -> None:
    client = RawClient("127.0.0.1", running.port)
    try:
        client.send(b"".join(pieces) + b"\r\n.\r\nQUIT\r\n")
        while client.file.readline():
            pass
    except ConnectionError:
        pass  # closed while we were still sending
    finally:
        client.close()
    record = running.session(client)
    assert not record["ended"].startswith(LAB_FAILED)


SERVER = NameServer(Records("lab.test", 1))
SERVER.records.put("a.test", "A", ["127.0.0.1"])


@given(st.binary(max_size=80))
def test_any_datagram(wire: bytes) -> None:
    response, _ = SERVER.respond(wire, "udp")
    assert response is None or response[:2] == wire[:2]


@given(st.data())
def test_any_question_with_some_octets_changed(data: st.DataObject) -> None:
    kind = data.draw(st.sampled_from(sorted(dns.rdatatype.RdataType)))
    wire = bytearray(dns.message.make_query("a.test", kind, use_edns=data.draw(st.booleans())).to_wire())
    for _ in range(data.draw(st.integers(0, 3))):
        wire[data.draw(st.integers(0, len(wire) - 1))] = data.draw(st.integers(0, 255))
    response, _ = SERVER.respond(bytes(wire), "tcp")
    assert response is None or response[:2] == bytes(wire[:2])
