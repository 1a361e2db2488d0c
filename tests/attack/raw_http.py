"""Requests that no HTTP library would send, over plain sockets."""

from __future__ import annotations

import http.client
import io
import json
import socket
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from random import Random
from urllib.parse import urlsplit

from tests.attack.campaign import Part
from tests.attack.verdicts import code_of, leaks, not_json, server_error, token
from tests.end_to_end.local_app import LocalApp

# Longer than an endpoint may take, and the connection is given up for good.
_SECONDS = 35.0
_SLOW_CONNECTIONS, _SLOW_SECONDS = 100, 6.0
_LARGEST = 12_000_000


@dataclass(frozen=True)
class Hostile:
    """A request.

    answers: how many answers there may be at most; more mean that one request was taken for two.
    statuses: what it must get, by default any status below 500. may_hang_up: no answer is fine.
    """

    name: str
    content: bytes
    answers: int = 1
    statuses: tuple[int, ...] = ()
    may_hang_up: bool = False


@dataclass(frozen=True)
class Door:
    """Where the API is."""

    port: int
    path: str
    key: str

    @classmethod
    def of(cls, app: LocalApp) -> Door:
        url = urlsplit(app.api["url"])
        assert url.hostname == "127.0.0.1" and url.port
        return cls(url.port, url.path, str(app.api["api_key"]))

    def request(
        self,
        body: bytes = b'{"queries": ["What is batch transform?"], "top_k": 1}',
        *headers: str,
        start: str | None = None,
        host: str | None = None,
        length: str | None = None,
    ) -> bytes:
        """A request for a search; `headers` are added, the arguments replace parts of it."""
        lines = [start or f"POST {self.path}/search HTTP/1.1"]
        lines.append(f"Host: 127.0.0.1:{self.port}" if host is None else host)
        lines += [f"x-api-key: {self.key}", "Content-Type: application/json", *headers]
        lines.append(f"Content-Length: {len(body)}" if length is None else length)
        head = "\r\n".join(line for line in lines if line) + "\r\n\r\n"
        return head.encode("latin-1", "replace") + body


def hostile(door: Door) -> list[Hostile]:
    """All forms."""
    return [*_framing(door), *_heads(door), *_foreign(door), *_bodies(door)]


def _framing(door: Door) -> list[Hostile]:
    """Where does a request end? Two readers that differ let one caller speak for another."""
    good = b'{"queries": ["x"]}'
    hidden = b"GET /smuggled HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n"
    chunked = "Transfer-Encoding: chunked"
    forms = []

    def add(name: str, content: bytes, **more: object) -> None:
        forms.append(Hostile(name, content, **more))  # type: ignore[arg-type]

    whole = b"%x\r\n%s\r\n0\r\n\r\n" % (len(good), good)
    for value in ("chunked", "Chunked", "chunked, identity", "identity", "xchunked", "\x0bchunked"):
        for length in (f"Content-Length: {len(whole + hidden)}", "Content-Length: 4", ""):
            request = door.request(whole + hidden, f"Transfer-Encoding: {value}", length=length)
            # The hidden one is a request of its own where the first one ends before it.
            own = not length and "chunked" in value.lower()
            add(f"{value!r} with {length!r}", request, answers=2 if own else 1, may_hang_up=True)
    for length in (
        *("5,5", "+5", "-5", " 5 5", "0x5", "5e0", "", "\u0665", "9" * 30, str(2**63), "5;6"),
    ):
        content = door.request(good, length=f"Content-Length: {length}")
        add(f"Content-Length {length[:20]!r}", content, answers=1, may_hang_up=True)
    add(
        "two Content-Lengths",
        door.request(good + hidden, "Content-Length: 5", length=f"Content-Length: {len(good)}"),
        may_hang_up=True,
    )
    add("two Transfer-Encodings", door.request(whole, chunked, chunked, length=""))
    for size in (
        *("G", "-1", "0x12", "", " 12", "12 ", "F" * 16, "F" * 40, "0" * 5000 + "12", "1_2"),
        *("12;" + "x" * 70_000, "12\n", "+12", "\u0661"),
    ):
        body = size.encode() + b"\r\n" + good + b"\r\n0\r\n\r\n"
        add(f"chunk of {size[:20]!r}", door.request(body, chunked, length=""), answers=2)
    add("chunk without its end", door.request(b"12\r\n" + good, chunked, length=""))
    add("chunk without CRLF", door.request(b"12\r\n" + good + b"0\r\n\r\n", chunked, length=""))
    trailers = b"".join(b"X-%d: x\r\n" % number for number in range(5000))
    add(
        "5,000 trailers",
        door.request(whole[:-2] + trailers + b"\r\n", chunked, length=""),
        answers=5001,  # they may be taken for requests, and refused
    )
    one_byte = b"".join(b"1\r\n%c\r\n" % byte for byte in good) + b"0\r\n\r\n"
    add("chunks of a byte", door.request(one_byte, chunked, length=""))
    add("shorter than said", door.request(good, length="Content-Length: 1000"), may_hang_up=True)
    add("two in a row", door.request(good) + door.request(good), answers=2)
    add("Expect", door.request(good, "Expect: 100-continue"), answers=2)
    add("Expect something else", door.request(good, "Expect: 200-maybe"))
    return forms


def _heads(door: Door) -> list[Hostile]:
    good = b'{"queries": ["x"]}'
    many = [f"X-{number}: {number}" for number in range(10_000)]
    headers = {
        "101 headers": many[:101],
        "10,000 headers": many,
        "a header of 60 KB": ["X-Long: " + "x" * 60_000],
        "a header of 1 MB": ["X-Long: " + "x" * 1_000_000],
        "no colon": ["nothing here"],
        "a blank before the colon": ["X-Odd : x"],
        "a folded header": ["X-Odd: x", " and more"],
        "NUL": ["X-Odd: a\0b"],
        "a bare CR": ["X-Odd: a\rX-Other: b"],
        "no name": [": x"],
        "not ASCII": ["X-Ödd: \xe9\xff"],
        "two keys": [f"x-api-key: {door.key}"],
        "underscores": ["x_api_key: y", "content_length: 3"],
        "a trace id": ["X-Amzn-Trace-Id: Root=1;\ttrue\x7f"],
        "forwarded": ["X-Forwarded-For: 10.0.0.1", "X-Forwarded-Host: evil.example"],
        "another method": ["X-HTTP-Method-Override: DELETE"],
        "gzip": ["Content-Encoding: gzip"],
        "upgrade": ["Connection: Upgrade", "Upgrade: h2c", "HTTP2-Settings: AAMAAABkAARAAAAA"],
        "another type": ["Content-Type: text/html", "Accept: text/html"],
    }
    # The first answer ends the connection, or what follows is refused as well.
    forms = [
        Hostile(name, door.request(good, *lines), answers=2, may_hang_up=len(lines) > 1000)
        for name, lines in headers.items()
    ]
    path = door.path
    lines = [
        *("get / HTTP/1.1", "G" * 70_000 + " / HTTP/1.1", "\x01\x02 / HTTP/1.1", "GET", "", " "),
        *("TRACE / HTTP/1.1", "CONNECT evil.example:443 HTTP/1.1", "OPTIONS * HTTP/1.1"),
        *("PRI * HTTP/2.0", "GET / HTTP/9.9", "GET / HTTP/1.1.1", "GET / HTTP/1.0", "GET /"),
        *("GET / HTTP/-1.1", "GET / HTTP/1.\u0661", "GET  /  HTTP/1.1", "GET\t/\tHTTP/1.1"),
        *(
            f"GET {path}/" + "a" * 60_000 + " HTTP/1.1",
            f"GET {path}/" + "a" * 200_000 + " HTTP/1.1",
        ),
        f"GET http://evil.example{path}/health HTTP/1.1",
        f"GET http://127.0.0.1:{door.port}{path}/health HTTP/1.1",
        *(f"GET {path}/../{tail} HTTP/1.1" for tail in ("v1/health", "..", "../../etc/passwd")),
        *(f"GET {path}{tail} HTTP/1.1" for tail in ("/%00", "/%2e%2e/", "//health", "/%", "/%zz")),
        *(f"GET {path}{tail} HTTP/1.1" for tail in ("/\xff\xfe", "/%ff", "/%c0%ae", "/a b", "/#x")),
        *(f"GET {path}/models/{'%2F..' * n} HTTP/1.1" for n in (1, 500)),
        f"GET {path}/health?{'a=b&' * 10_000} HTTP/1.1",
        f"GET {path}/batch/%0d%0aX-Injected:%20yes HTTP/1.1",
        f"GET {path}/models/%0d%0aX-Injected:%20yes HTTP/1.1",
        *("GET /execute-api HTTP/1.1", "GET /execute-api/x/%f0 HTTP/1.1", "GET http:// HTTP/1.1"),
    ]
    return forms + [
        # A request without a body may be followed by ours, which is no request.
        Hostile(line[:60], door.request(b"", start=line or "\r\n"), 2, _odd(line), True)
        for line in lines
    ]


def _odd(line: str) -> tuple[int, ...]:
    """What may be said of methods and versions that nobody implements."""
    return () if "execute-api" in line else (*range(200, 500), 501, 505)


def _foreign(door: Door) -> list[Hostile]:
    """Web pages, and clients of whom nobody knows who they are."""
    control = f"POST / HTTP/1.1\r\nHost: 127.0.0.1:{door.port}\r\nContent-Length: 35\r\n"
    listing = "Action=ListStacks&Version=2010-05-15"[:35]
    form = "Content-Type: application/x-www-form-urlencoded\r\n"
    signature = (
        "Authorization: AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/20260101/us-east-1/cloudformation/"
        f"aws4_request, SignedHeaders=host, Signature={'0' * 64}\r\n"
    )
    forms = [
        Hostile(
            f"{name} at the control plane",
            (control + form + more + "\r\n" + listing).encode(),
            1,
            (400, 403),
        )
        for name, more in {
            "unsigned": "",
            "signed with junk": signature,
            "a page": "Origin: http://evil.example\r\n",
            "a page without an origin": "Origin: null\r\n",
            "cross-site": "Sec-Fetch-Site: cross-site\r\n",
        }.items()
    ]
    for host in (
        *("evil.example", f"evil.example:{door.port}", f"127.0.0.1:{door.port}@evil.example"),
        *(f"127.0.0.1.nip.io:{door.port}", "", f"[::1]:{door.port}", f"127.0.0.1:{door.port} x"),
        *("127.0.0.1:0", "127.0.0.1:99999999999", f"0x7f.1:{door.port}", "localhost.:80"),
    ):
        content = door.request(host=f"Host: {host}")
        forms.append(Hostile(f"Host {host!r}", content, 1, (400, 403)))
    no_host = door.request(host="X-No-Host: x")
    return [*forms, Hostile("no Host", no_host, 1, (400, 403))]


def _bodies(door: Door) -> list[Hostile]:
    question = '{"queries": ["ä 日本"], "top_k": 1}'
    bodies = {
        "empty": b"",
        "NUL": b"\0",
        "NaN": b'{"queries": ["x"], "min_score": NaN}',
        "infinity": b'{"queries": ["x"], "min_score": 1e999}',
        "a huge number": b'{"queries": ["x"], "top_k": %s}' % (b"9" * 100_000),
        "a long fraction": b'{"queries": ["x"], "min_score": 0.%s}' % (b"1" * 100_000),
        "a lone surrogate": b'{"queries": ["\\ud800"]}',
        "a raw surrogate": b'{"queries": ["\xed\xa0\x80"]}',
        "a raw newline": b'{"queries": ["\n"]}',
        "the same twice": b'{"queries": ["x"], "queries": ["y"]}',
        "prototypes": b'{"__proto__": {"x": 1}, "constructor": 1, "queries": ["x"]}',
        "many members": b"{%s}" % b",".join(b'"a%d":1' % number for number in range(100_000)),
        "many queries": json.dumps({"queries": ["x"] * 100_000}).encode(),
        "a BOM": question.encode("utf-8-sig"),
        "a cut character": question.encode()[:15],
        "5 MB and more": b'{"queries": ["%s"]}' % (b"x" * 5_300_000),
        "11 MB": b'{"queries": ["%s"]}' % (b"x" * 11_000_000),
        **{each: question.encode(each) for each in ("utf-16", "utf-32", "utf-7", "gb18030")},
    }
    for depth in (100, 1000, 100_000, 1_000_000):
        bodies[f"{depth:,} lists"] = b"[" * depth
        bodies[f"{depth:,} closed lists"] = b"[" * depth + b"]" * depth
        bodies[f"{depth:,} objects"] = b'{"queries":' * depth
    return [Hostile(name, door.request(body)) for name, body in bodies.items()]


def mutated(door: Door, random: Random) -> Hostile:
    """A good request with some bytes changed, lost, doubled or put in."""
    content = bytearray(door.request())
    for _ in range(random.randint(1, 8)):
        at = random.randrange(len(content))
        match random.randrange(5):
            case 0:
                content[at] = random.randrange(256)
            case 1:
                del content[at : at + random.randint(1, 20)]
            case 2:
                content[at:at] = random.choice(
                    (b"\r\n", b"\n", b"\r", b"\0", b":", b" ", b"%", b"\xff")
                )
            case 3:
                content[at:at] = content[at : at + random.randint(1, 200)]
            case _:
                content[at:at] = random.randbytes(random.randint(1, 50))
        content = content or bytearray(b"x")
    odd = (*range(200, 500), 501, 505)
    return Hostile("mutated", bytes(content), 100, odd, may_hang_up=True)


def attack(part: Part, app: LocalApp, mutants: int = 600) -> None:
    """Sends each form, then mutated requests; meanwhile and in the end good requests must work."""
    door = Door.of(app)
    forms = hostile(door)
    secrets = [door.key, app.context.administrator.secret]
    for case in part.numbers(len(forms) + mutants):
        form = forms[case] if case < len(forms) else mutated(door, part.random(case))
        content = send(door.port, form.content)
        # What is no HTTP is quoted to who sent it, and that may be where the key has come to be.
        answers, what = judge(form, content, secrets if case < len(forms) else secrets[1:])
        for status, code in answers:
            part.answered(status, code)
        for each in what:
            part.find(case, f"{form.name}: {each}", sent=form.content[:500])
    if part.only is None:
        _slowly(part, door)
        _together(part, door)


def judge(
    form: Hostile, content: bytes | None, secrets: list[str]
) -> tuple[list[tuple[int, str]], list[str]]:
    """Each answer's status and code, and what is wrong; `content` is None if it never ended."""
    if content is None:
        return [], [f"no end after {_SECONDS:.0f} s"]
    try:
        answers = read_answers(content)
    except (http.client.HTTPException, ValueError) as error:
        # Before HTTP/1.0 there were no heads.
        if b"HTTP/" in form.content.splitlines()[0]:
            return [], [f"not an HTTP answer ({error!r}): {content[:80]!r}"]
        answers = []
    found = []
    if not answers and not form.may_hang_up and not content:
        found.append("no answer")
    if len([each for each in answers if each[0] != 100]) > form.answers:
        found.append(f"{len(answers)} answers, at most {form.answers} expected")
    for number, (status, media_type, body) in enumerate(answers):
        if number == 0 and form.statuses and status not in form.statuses:
            found.append(f"{status}, expected {form.statuses[:3]}")
        if not (form.statuses and status in form.statuses):
            found += server_error(status, body)
        if body and not media_type.startswith(("text/css", "image/", "text/javascript")):
            found += not_json(body, media_type) if "xml" not in media_type else []
        found += leaks(body, secrets)
    return [(status, code_of(body)) for status, _, body in answers], found


def read_answers(content: bytes) -> list[tuple[int, str, bytes]]:
    """Status, media type and body of each answer on a connection."""
    stream = _Stream(content)
    answers = []
    while stream.tell() < len(content):
        answer = http.client.HTTPResponse(stream)  # type: ignore[arg-type]
        answer.begin()
        answers.append((answer.status, answer.headers.get("Content-Type", ""), answer.read()))
    return answers


class _Stream(io.BytesIO):
    """What was received, as http.client reads it: an answer's end does not close it."""

    def makefile(self, _mode: str) -> _Stream:
        return self

    def close(self) -> None:
        """Stays open for the next answer."""


def send(port: int, content: bytes, seconds: float = _SECONDS) -> bytes | None:
    """All that came back until the other side ended; None if it did not in time."""
    deadline = time.monotonic() + seconds
    received = bytearray()
    with socket.create_connection(("127.0.0.1", port), timeout=seconds) as connection:
        # The other side may refuse, and answer, before it has read all.
        sending = threading.Thread(target=_send_all, args=(connection, content), daemon=True)
        sending.start()
        try:
            while len(received) < _LARGEST:
                connection.settimeout(max(0.1, deadline - time.monotonic()))
                part = connection.recv(1 << 16)
                if not part:
                    break
                received += part
        except TimeoutError:
            return None
        except OSError:  # reset, because more was sent than anyone read
            pass
    return bytes(received)


def _send_all(connection: socket.socket, content: bytes) -> None:
    try:
        connection.sendall(content)
        connection.shutdown(socket.SHUT_WR)
    except OSError:
        pass


def _slowly(part: Part, door: Door) -> None:
    """Connections that send a byte now and then; others must not notice."""
    slow = [socket.create_connection(("127.0.0.1", door.port)) for _ in range(_SLOW_CONNECTIONS)]
    try:
        content = door.request()
        end = time.monotonic() + _SLOW_SECONDS
        for position in range(len(content)):
            for connection in slow:
                connection.send(content[position : position + 1])
            part.begin(part.cases, part.cases)
            answers = read_answers(send(door.port, door.request()) or b"")
            if [each[0] for each in answers] != [200]:
                part.find(part.cases, f"{answers} while {len(slow)} connections are slow")
            if time.monotonic() > end:
                break
    finally:
        for connection in slow:
            connection.close()


def _together(part: Part, door: Door, callers: int = 8, rounds: int = 25) -> None:
    """Callers at once: each must get what belongs to its own request."""

    def embed(caller: int) -> list[float]:
        start = f"POST {door.path}/embed HTTP/1.1"
        body = json.dumps({"texts": [token(caller)]}).encode()
        answers = read_answers(send(door.port, door.request(body, start=start)) or b"")
        found: list[float] = json.loads(answers[0][2])["embeddings"][0]
        return found

    def name_model(caller: int) -> bytes:
        start = f"GET {door.path}/models/{token(caller)} HTTP/1.1"
        answers = read_answers(send(door.port, door.request(b"", start=start)) or b"")
        return answers[0][2]  # it quotes the name

    alone = [embed(caller) for caller in range(callers)]

    def call(caller: int) -> None:
        for _ in range(rounds):
            try:
                pairs = zip(embed(caller), alone[caller], strict=True)
                found = ["another's vector"] if max(abs(a - b) for a, b in pairs) > 1e-4 else []
                found += leaks(name_model(caller), [], caller)
            except (LookupError, ValueError) as error:
                found = [f"no answer: {error!r}"]
            for what in found:
                part.find(caller, f"{callers} callers at once: {what}")

    _at_once([lambda caller=caller: call(caller) for caller in range(callers)])  # type: ignore[misc]
    part.cases += callers * rounds * 2


def _at_once(calls: list[Callable[[], None]]) -> None:
    threads = [threading.Thread(target=call) for call in calls]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
