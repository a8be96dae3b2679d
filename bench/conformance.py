"""Malformed and borderline requests put to the proxy, nginx and HAProxy: the tables of the proxy's own tests."""

import json
import os
import re
import socket
import ssl
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from pathlib import Path

import machine
from against_compose import our_version
from proxies import Tls, certificate, folder, haproxy, nginx, ours
from shell import free_port, say
from tools import version

TABLES = Path(__file__).parent.parent / "src" / "proxy" / "tests" / "conformance"
SHOWN = Path(__file__).parent.parent / "docs" / "conformance.md"
PATIENCE = 4  # seconds without an answer: it waits for more
PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
ERRORS = (
    "NO_ERROR PROTOCOL_ERROR INTERNAL_ERROR FLOW_CONTROL_ERROR SETTINGS_TIMEOUT STREAM_CLOSED FRAME_SIZE_ERROR "
    "REFUSED_STREAM CANCEL COMPRESSION_ERROR CONNECT_ERROR ENHANCE_YOUR_CALM INADEQUATE_SECURITY HTTP_1_1_REQUIRED"
).split()

NGINX = """\
upstream backend { server 127.0.0.1:%(backend)d; keepalive 16; }
  server {
    listen 127.0.0.1:%(port)d;
    listen 127.0.0.1:%(tls)d ssl http2;
    ssl_certificate %(pem)s; ssl_certificate_key %(pem)s;
    location / { proxy_pass http://backend; proxy_http_version 1.1; proxy_set_header Connection ""; }
  }"""

HAPROXY = """\
global
  nbthread 1
defaults
  mode http
  timeout connect 3s
  timeout client 30s
  timeout server 30s
frontend live
  bind 127.0.0.1:%(port)d
  bind 127.0.0.1:%(tls)d ssl crt %(pem)s alpn h2,http/1.1
  default_backend app
backend app
  server one 127.0.0.1:%(backend)d
"""


def conformance(_quick):
    """Writes docs/conformance.md and returns nothing for docs/benchmarks.md."""
    with ExitStack() as stack:
        path = stack.enter_context(folder())
        chain, key = certificate(path)
        pem = path / "both.pem"
        pem.write_bytes(chain.read_bytes() + key.read_bytes())
        backend = stack.enter_context(service())
        sides = {}
        port, tls = free_port(), free_port()
        known = {"port": port, "tls": tls, "pem": pem, "backend": backend}
        stack.enter_context(ours(port, backend, None, Tls(tls, chain, key)))
        sides["envctl"] = (port, tls)
        known |= {"port": free_port(), "tls": free_port()}
        stack.enter_context(nginx("nginx", known["port"], NGINX % known, None))
        sides["nginx"] = (known["port"], known["tls"])
        known |= {"port": free_port(), "tls": free_port()}
        stack.enter_context(haproxy(known["port"], None, HAPROXY % known))
        sides["HAProxy"] = (known["port"], known["tls"])
        tables = []
        for title, file, ask in (("HTTP/1.1", "http1.json", requests), ("HTTP/2", "http2.json", frames)):
            rows = json.loads((TABLES / file).read_text(encoding="utf-8"))
            found = {}
            for name, ports in sides.items():
                say(f"conformance: {title}, {name}")
                with ThreadPoolExecutor(24) as pool:
                    found[name] = list(pool.map(lambda row: ask(ports, row), rows))
            tables.append((title, rows, found))
    SHOWN.write_text(page(tables), encoding="utf-8")
    return summary(tables)


def good(row):
    return {row["answer"] if "wants" not in row else row["wants"], *row.get("also", ())}


def kin(answer, row):
    """Whether the connection or the stream is ended as it should be, with another error code."""
    kind = answer.split(" ")[0]
    return kind in ("goaway", "reset") and any(allowed.startswith(kind) for allowed in good(row))


def summary(tables):
    lines = ["| rows | of | envctl | nginx | HAProxy |", "|---|---:|---:|---:|---:|"]
    for title, rows, found in tables:
        right = [sum(answer in good(row) for row, answer in zip(rows, answers)) for answers in found.values()]
        close = [
            sum(answer in good(row) or kin(answer, row) for row, answer in zip(rows, answers))
            for answers in found.values()
        ]
        lines.append(f"| {title}: as the standard says or allows | {len(rows)} | " + " | ".join(map(str, right)) + " |")
        if close != right:
            lines.append(f"| {title}: that, or ended with another error code | {len(rows)} | " + " | ".join(map(str, close)) + " |")
    return "\n".join(lines) + "\n"


def page(tables):
    facts = f"{machine.facts()} · {version('nginx')} · {version('haproxy')} · {our_version()}"
    text = f"""\
# Conformance

Malformed and borderline requests over raw sockets, and what the proxy, nginx and HAProxy answer: written by
`scripts/bench conformance` from the tables that the proxy's tests hold it to (`src/proxy/tests/conformance/`). nginx and
HAProxy run with the settings that Debian's packages and their manuals' examples have.

`standard`: what the section of the RFC asks for, or allows. An answer outside of it is in **bold**; where
only the error code is another, in *italics*. `close`: closed
without a word; `waits`: no answer within {PATIENCE} s. Whether a row is dangerous is another question: a bold `200`
next to a framing row can be.

{summary(tables)}
{facts}
"""
    for title, rows, found in tables:
        text += f"\n## {title}\n\n| RFC | sent | standard | " + " | ".join(found) + " |\n|---|---|---|" + "---|" * len(found) + "\n"
        for number, row in enumerate(rows):
            first = row.get("wants", row["answer"])
            others = [answer for answer in row.get("also", ()) if answer != first]
            if "wants" not in row and row["answer"] != first:
                others.insert(0, row["answer"])
            cells = [shown(answers[number], row) for answers in found.values()]
            standard = " / ".join([first, *others])
            text += f"| {row['rfc']} | {row['name'].replace('|', '&#124;')} | {standard} | " + " | ".join(cells) + " |\n"
    return text


def shown(answer, row):
    if answer in good(row):
        return answer
    return f"*{answer}*" if kin(answer, row) else f"**{answer}**"


def expand(text):
    return re.sub(r"(?s)<([^<>]+)\*(\d+)>", lambda found: found[1] * int(found[2]), text)


def talk(connection, sent, enough):
    """Sends and receives at once, until the other end closes, `enough` says so, or nothing comes for long."""
    connection.settimeout(PATIENCE)

    def send():
        try:
            connection.sendall(sent)
        except OSError:
            pass

    sender = threading.Thread(target=send, daemon=True)
    sender.start()
    got, closed = b"", False
    try:
        while not enough(got):
            more = connection.recv(65536)
            if not more:
                closed = True
                break
            got += more
    except TimeoutError:
        pass
    except OSError:
        closed = True
    return got, closed


def requests(ports, row):
    sent = expand(row["send"]).encode("latin-1")
    with socket.create_connection(("127.0.0.1", ports[0]), timeout=PATIENCE) as connection:
        got, closed = talk(connection, sent, lambda _: False)
    statuses = []
    while b"\r\n\r\n" in got:
        head, got = got.split(b"\r\n\r\n", 1)
        words = head.decode("latin-1").lower()
        statuses.append(words.split(" ")[1] if " " in words else "?")
        length = re.search(r"^content-length: (\d+)", words, re.MULTILINE)
        got = got[int(length[1]) if length else 0:]
    if got and not statuses:
        statuses.append("200")  # a body without a head: HTTP/0.9
    if statuses:
        return " ".join(statuses)
    return "close" if closed else "waits"


def frame(kind, flags, stream, payload):
    return len(payload).to_bytes(3) + bytes((kind, flags)) + stream.to_bytes(4) + payload


def fields(every):
    block = b""
    for field in every:
        if isinstance(field, str):
            path = "/upload" if field == "POST" else "/"
            pairs = [(":method", field), (":scheme", "https"), (":path", path), (":authority", "a")]
        else:
            pairs = [field]
        for pair in pairs:
            block += b"\0"
            for text in pair:
                text = text.encode("latin-1")
                block += bytes((len(text),)) + text
    return block


def octets(one, number=1):
    stream = {"+": 2 * number - 1}
    match one:
        case ["headers", flags, at, every]:
            flags = ("s" in flags) | ("h" in flags) << 2
            return frame(1, flags, stream.get(at, at), fields(every))
        case ["get", at]:
            return frame(1, 5, stream.get(at, at), fields(["GET"]))
        case ["frame", kind, flags, at, text]:
            return frame(kind, flags, stream.get(at, at), bytes.fromhex(expand(text)))
        case ["raw", text]:
            return bytes.fromhex(text)
        case ["repeat", count, inner]:
            return b"".join(octets(part, round + 1) for round in range(count) for part in inner)
    raise ValueError(one)


def frames(ports, row):
    sent = PREFACE + frame(4, 0, 0, b"") if row.get("preface", True) else b""
    sent += b"".join(octets(one) for one in row["frames"])
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    context.set_alpn_protocols(["h2"])
    until = row.get("until", "")
    with socket.create_connection(("127.0.0.1", ports[1]), timeout=PATIENCE) as plain:
        with context.wrap_socket(plain, server_hostname="localhost") as connection:
            got, closed = talk(connection, sent, lambda got: said(got, until) is not None)
    return said(got, until) or ("close" if closed else "waits")


def said(got, until):
    """The server's first word on it: a status, `reset CODE` or `goaway CODE`."""
    while len(got) >= 9:
        length, kind = int.from_bytes(got[:3]), got[3]
        payload, got = got[9:9 + length], got[9 + length:]
        if len(payload) < length:
            break
        code = lambda at: ERRORS[min(int.from_bytes(payload[at:at + 4]), len(ERRORS) - 1)]
        word = None
        if kind == 1:
            word = status(payload)
        elif kind == 3:
            word = f"reset {code(0)}"
        elif kind == 7:
            word = f"goaway {code(4)}"
        if word and word.startswith(until):
            return word
    return None


def status(block):
    while block and block[0] >> 5 == 1:
        block = block[1:]
    if block[0] & 0x80:
        return ("200", "204", "206", "304", "400", "404", "500")[(block[0] & 0x7f) - 8]
    length, text = block[1] & 0x7f, block[2:2 + (block[1] & 0x7f)]
    if not block[1] & 0x80:
        return text.decode("latin-1")
    # The Huffman code of digits: 0, 1 and 2 have five bits, the others six.
    bits, digits = "".join(f"{byte:08b}" for byte in text), ""
    while len(digits) < 3:
        code, bits = int(bits[:5], 2), bits[5:]
        if code >= 3:
            code, bits = (code << 1 | int(bits[0])) - 0x19 + 3, bits[1:]
        digits += str(code)
    return digits


@contextmanager
def service():
    """A service that reads each request to its end before it answers."""
    listener = socket.create_server(("127.0.0.1", 0), backlog=256)

    def serve(connection):
        with connection, connection.makefile("rb") as read:
            while line := read.readline():
                length, chunked = 0, False
                while (field := read.readline()).strip():
                    name, _, value = field.decode("latin-1").lower().partition(":")
                    if name == "content-length":
                        length = int(value)
                    elif name == "transfer-encoding":
                        chunked = True
                read.read(length)
                while chunked and (size := int(read.readline().split(b";")[0], 16)):
                    read.read(size + 2)
                while chunked and read.readline().strip():
                    pass
                body = b"" if line.startswith(b"HEAD") else b"ok"
                connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n" + body)

    def guarded(connection):
        try:
            serve(connection)
        except (OSError, ValueError, OverflowError):
            pass

    def accept():
        while True:
            try:
                connection, _ = listener.accept()
            except OSError:
                return
            threading.Thread(target=guarded, args=(connection,), daemon=True).start()

    threading.Thread(target=accept, daemon=True).start()
    try:
        yield listener.getsockname()[1]
    finally:
        listener.close()
