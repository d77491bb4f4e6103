"""Whether a template's workers speak HTTP as uvicorn's own protocol does: both are given the same bytes, cut in several ways,
and have to tell the application the same, say the same, and print the same lines.

Argument: the file of the protocol. Prints each stream of which something differs, and how many streams there were.
"""

import asyncio
import importlib.util
import io
import json
import logging
import random
import socket
import sys

import uvicorn
from uvicorn.protocols.http.h11_impl import H11Protocol
from uvicorn.server import ServerState

specification = importlib.util.spec_from_file_location("plain_http", sys.argv[1])
plain_http = importlib.util.module_from_spec(specification)
specification.loader.exec_module(plain_http)

TYPED = [(b"content-type", b"application/json")]
END = b"GET /end HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"


def post(path, body=b'{"inputs": [1]}', headers=(), version=b"1.1"):
    lines = [b"POST " + path + b" HTTP/" + version, b"host: localhost", *headers, b"content-length: %d" % len(body)]
    return b"\r\n".join(lines) + b"\r\n\r\n" + body


STREAMS = {
    "one": post(b"/echo"),
    "three": post(b"/echo?request_id=a%20b") + post(b"/echo/%C3%BC%2F?x") + post(b"/echo?"),
    "headers": post(b"/echo", headers=[b"Accept: */*", b"X-A:  spaced \t", b"x-a:again", b"x-empty:", b"x-obs: \xe9\xff"]),
    "empty": post(b"/echo", b""),
    "longest": post(b"/echo", b"x" * 65_000) + post(b"/echo"),
    "long": post(b"/echo", b"x" * 300_000) + post(b"/echo"),
    "long head": post(b"/echo", headers=[b"x-long: " + b"y" * 16_000]),
    "too long head": post(b"/echo", headers=[b"x-long: " + b"y" * 60_000]),
    "other methods": b"GET /echo HTTP/1.1\r\nhost: a\r\n\r\nHEAD /echo HTTP/1.1\r\nhost: a\r\n\r\n" + post(b"/echo"),
    "chunked": b"POST /echo HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n" + post(b"/echo"),
    "expect": post(b"/echo", headers=[b"Expect: 100-continue"]) + post(b"/echo"),
    "upgrade": post(b"/echo", headers=[b"Connection: upgrade", b"Upgrade: other"]) + post(b"/echo"),
    "close": post(b"/echo", headers=[b"Connection: close"]),
    "keep-alive": post(b"/echo", headers=[b"Connection: keep-alive"]) + post(b"/echo"),
    "1.0": post(b"/echo", version=b"1.0"),
    "2.0": post(b"/echo", version=b"2.0"),
    "no host": b"POST /echo HTTP/1.1\r\ncontent-length: 2\r\n\r\n[]",
    "two hosts": post(b"/echo", headers=[b"host: b"]),
    "no length": b"POST /echo HTTP/1.1\r\nhost: a\r\n\r\n" + post(b"/echo"),
    "two lengths": post(b"/echo", headers=[b"content-length: 15"]),
    "other length": post(b"/echo", headers=[b"content-length: 3"]),
    "bad length": b"POST /echo HTTP/1.1\r\nhost: a\r\ncontent-length: +2\r\n\r\n[]",
    "absolute": post(b"http://localhost/echo") + post(b"*"),
    "bad line": b"POST  /echo HTTP/1.1\r\nhost: a\r\n\r\n",
    "bad name": post(b"/echo", headers=[b"a b: c"]),
    "bad value": post(b"/echo", headers=[b"a: b\x00c"]),
    "folded": post(b"/echo", headers=[b"a: b\r\n c"]),
    "bare feed": post(b"/echo").replace(b"\r\n", b"\n"),
    "no words": b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n",
    "no length told": post(b"/stream") + post(b"/echo") + post(b"/stream"),
    "pieces": post(b"/pieces") + post(b"/pieces"),
    "nothing": post(b"/nothing") + post(b"/not-modified") + post(b"/echo"),
    "statuses": b"".join(post(b"/status/%d" % status) for status in (200, 201, 299, 400, 404, 418, 500, 503, 504, 599)),
    "capitals": post(b"/capitals") + post(b"/echo"),
    "says close": post(b"/says-close"),
    "injects": post(b"/injects"),
    "says two lengths": post(b"/two-lengths"),
    "says no number": post(b"/no-number"),
    "shorter": post(b"/shorter"),
    "longer": post(b"/longer"),
    "raises": post(b"/raises"),
    "raises late": post(b"/raises-late"),
    "says nothing": post(b"/silent"),
    "ends early": post(b"/ends-early"),
    "body first": post(b"/body-first"),
    "twice": post(b"/twice"),
    "told of the end": post(b"/listens") + post(b"/echo"),
}
# Of whose answers nothing comes after them.
ENDS = {"1.0", "close"}


class Application:
    def __init__(self):
        self.seen = []

    async def __call__(self, scope, receive, send):
        body, more = b"", True
        while more:
            message = await receive()
            body += message.get("body", b"")
            more = message.get("more_body", False)
        self.seen.append(repr(({**scope, "headers": list(scope["headers"])}, message["type"], len(body), body[:99])))
        said = json.dumps({"path": scope["path"], "bytes": len(body)}).encode()
        length = [(b"content-length", b"%d" % len(said))]

        async def start(status=200, headers=TYPED + length):
            await send({"type": "http.response.start", "status": status, "headers": headers})

        async def go_on(part=said, more=False):
            await send({"type": "http.response.body", "body": part, "more_body": more})

        match scope["path"].split("/")[1]:
            case "stream":
                await start(headers=TYPED)
                await go_on(said[:5], True)
                await go_on(b"", True)
                await go_on(said[5:])
            case "pieces":
                await start()
                await go_on(b"", True)
                await go_on(said[:5], True)
                await go_on(said[5:], True)
                await go_on(b"")
            case "nothing":
                await start(204, [])
                await go_on(b"")
            case "not-modified":
                await start(304, [])
                await go_on(b"")
            case "status":
                await start(int(scope["path"].split("/")[2]))
                await go_on()
            case "capitals":
                await start(headers=[(b"Content-Type", b"text/csv"), (b"Content-Length", b"%d" % len(said))])
                await go_on()
            case "says-close":
                await start(headers=TYPED + length + [(b"connection", b"close")])
                await go_on()
            case "injects":
                await start(headers=TYPED + length + [(b"x-a", b"b\r\nx-c: d")])
                await go_on()
            case "two-lengths":
                await start(headers=TYPED + length + length)
                await go_on()
            case "no-number":
                await start(headers=[(b"content-length", b"many")])
                await go_on()
            case "shorter":
                await start()
                await go_on(said[1:])
            case "longer":
                await start()
                await go_on(said + b"!")
            case "raises":
                raise ValueError("of its own")
            case "raises-late":
                await start()
                await go_on(said[:5], True)
                raise ValueError("of its own")
            case "silent":
                pass
            case "ends-early":
                await start()
                await go_on(said[:5], True)
            case "body-first":
                await go_on()
            case "twice":
                await start()
                await go_on()
                await go_on()
            case "listens":
                await start()
                await go_on()
                self.seen.append((await receive())["type"])
            case _:
                await start()
                await go_on()


async def told(protocol, pieces, lines):
    """What the application, the client and the log are told."""
    application = Application()
    config = uvicorn.Config(application)
    config.load()
    for name in ("uvicorn.error", "uvicorn"):
        # Applications that raise do so here on purpose.
        logging.getLogger(name).handlers = [logging.NullHandler()]
        logging.getLogger(name).propagate = False
    lines.seek(0)
    lines.truncate()
    [handler] = logging.getLogger("uvicorn.access").handlers
    handler.setStream(lines)
    state, loop = ServerState(), asyncio.get_running_loop()
    state.default_headers = [(b"server", b"uvicorn")]
    ours, client = socket.socketpair()
    client.setblocking(False)
    await loop.connect_accepted_socket(
        lambda: protocol(config=config, server_state=state, app_state={"of": "app"}, _loop=loop), ours
    )

    async def say():
        for piece in pieces:
            try:
                await loop.sock_sendall(client, piece)
            except OSError:
                return
            # Each piece is read by itself.
            await asyncio.sleep(0.001)

    saying = loop.create_task(say())
    answer = b""
    with client:
        while True:
            try:
                part = await loop.sock_recv(client, 1 << 16)
            except ConnectionResetError:
                # What is left unread of a refused request.
                break
            if not part:
                break
            answer += part
        saying.cancel()
    while state.tasks:
        await asyncio.sleep(0.001)
    return application.seen, answer, lines.getvalue(), state.total_requests


def cuts(stream):
    """The whole at once, and in pieces."""
    yield [stream]
    if len(stream) < 2_000:
        yield [stream[at : at + 1] for at in range(len(stream))]
    for seed in range(4):
        chance = random.Random(seed)
        places = sorted(chance.sample(range(1, len(stream)), 3))
        yield [stream[begin:end] for begin, end in zip([0, *places], [*places, len(stream)])]


def main():
    lines = io.StringIO()
    # Of what is plain, nothing is left to h11: it would prove nothing.
    left, leave = [], plain_http.PlainProtocol.leave_to_h11
    plain_http.PlainProtocol.leave_to_h11 = lambda self: (left.append(1), leave(self))[1]
    count, differ = 0, 0
    for name, stream in STREAMS.items():
        for pieces in cuts(stream if name in ENDS else stream + END):
            own, plain = (
                asyncio.run(asyncio.wait_for(told(protocol, pieces, lines), 60))
                for protocol in (H11Protocol, plain_http.PlainProtocol)
            )
            count += 1
            if own != plain:
                differ += 1
                print(f"{name}, in {len(pieces)} pieces:\n  uvicorn {own}\n  we      {plain}")
    # One at a time, as the gateway does.
    left.clear()
    apart = [post(b"/echo"), post(b"/pieces"), post(b"/status/400"), post(b"/echo", b"x" * 60_000)]
    own, plain = (asyncio.run(told(protocol, [*apart, END], lines)) for protocol in (H11Protocol, plain_http.PlainProtocol))
    count += 1
    if own != plain or len(left) != 1:
        differ += 1
        print(f"one at a time, {len(left)} left to h11:\n  uvicorn {own}\n  we      {plain}")
    print(f"{count} streams, {differ} differ")


main()
