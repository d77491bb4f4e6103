"""The scoring server's HTTP as the gateway speaks it, without a parser of all of HTTP.

What uvicorn does for a request and for its line in the log is a tenth of all that a worker does for one row. The gateway
sends one kind of request, one after the other on a connection: a POST that tells its length. Short ones of those are read
here, and answers that tell their length are written here, in one piece. Whatever else comes or is answered, uvicorn's own
protocol gets from the request's first byte on: so it says what it always says.
"""

import asyncio
import logging
import re
import socket
from http import HTTPStatus
from urllib.parse import unquote

import h11
import uvicorn
from uvicorn.logging import AccessFormatter
from uvicorn.protocols.http.auto import AutoHTTPProtocol
from uvicorn.protocols.http.h11_impl import H11Protocol, RequestResponseCycle
from uvicorn.protocols.utils import get_client_addr, get_path_with_query_string
from uvicorn.server import ServerState

# Bytes of a request. A longer one is given to the application as it arrives, by uvicorn.
LONGEST = 64 * 1024
# Bytes of a head that has not come whole: with more, h11 says what is wrong.
LONGEST_HEAD = 16 * 1024
HEADER = rb"[!#$%&'*+.^_`|~0-9A-Za-z-]+:[\t\x20-\x7e\x80-\xff]*\r\n"
HEADERS = re.compile(rb"(?:%b)*" % HEADER)
HEAD = re.compile(rb"POST (/[!-~]*) HTTP/1\.1\r\n((?:%b)*)\r\n" % HEADER)
# What says that a request or an answer is of another kind.
NOT_PLAIN = frozenset({b"connection", b"expect", b"transfer-encoding", b"upgrade"})
PHRASES = {status.value: status.phrase for status in HTTPStatus}
# Statuses whose answers have a body.
STATUS_LINES = {
    status: f"HTTP/1.1 {status} {phrase}\r\n".encode()
    for status, phrase in PHRASES.items()
    if status >= 200 and status not in (204, 304)
}
# A line of the log as uvicorn is set up by itself, and as it looks then.
FORMAT = '%(levelprefix)s %(client_addr)s - "%(request_line)s" %(status_code)s'
LINE = 'INFO:     {} - "POST {} HTTP/1.1" {} {}\n'
PATIENCE = 10


class PlainProtocol(H11Protocol):
    # What has come of a request that is not whole, or of one that came too early.
    pending = b""
    # Whether h11 has what comes.
    is_h11s = False

    def __init__(self, *arguments, **named):
        super().__init__(*arguments, **named)
        # Variables of the model's can ask uvicorn (`UVICORN_…`) for what only it does.
        self.keeps_to_h11 = self.limit_concurrency is not None or getattr(self.config, "reset_contextvars", False)
        self.is_h11s = self.keeps_to_h11

    def data_received(self, data):
        if self.is_h11s:
            super().data_received(data)
            return
        self._unset_keepalive_if_required()
        self.pending += data
        if self.cycle is not None and not self.cycle.response_complete:
            self.flow.pause_reading()
            return
        request = read(self.pending)
        if request is not None:
            data, self.pending = self.pending, b""
            self.begin(data, *request)
        elif not may_become_plain(self.pending):
            self.leave_to_h11()

    def begin(self, data, target, headers, body):
        raw_path, _, query_string = target.partition(b"?")
        self.headers = headers
        self.scope = {
            "type": "http",
            "asgi": {"version": self.asgi_version, "spec_version": "2.3"},
            "http_version": "1.1",
            "server": self.server,
            "client": self.client,
            "scheme": self.scheme,
            "method": "POST",
            "root_path": self.root_path,
            "path": self.root_path + unquote(raw_path.decode("ascii")),
            "raw_path": self.root_path.encode("ascii") + raw_path,
            "query_string": query_string,
            "headers": headers,
            "state": self.app_state.copy(),
        }
        self.cycle = PlainCycle(
            scope=self.scope,
            conn=self.conn,
            transport=self.transport,
            flow=self.flow,
            logger=self.logger,
            access_logger=self.access_logger,
            access_log=self.access_log,
            default_headers=self.server_state.default_headers,
            message_event=asyncio.Event(),
            on_response=self.on_response_complete,
        )
        self.cycle.hand_over = lambda: self.hand_over(data)
        self.cycle.body, self.cycle.more_body = body, False
        self.cycle.message_event.set()
        task = self.loop.create_task(self.cycle.run_asgi(self.app))
        task.add_done_callback(self.tasks.discard)
        self.tasks.add(task)

    def hand_over(self, data):
        """From here on h11 is where it would be if it had read this request."""
        self.is_h11s = True
        self.conn.receive_data(data)
        event = None
        while not isinstance(event, h11.EndOfMessage):
            event = self.conn.next_event()
            if event is h11.NEED_DATA:
                raise RuntimeError("h11 reads another request")

    def leave_to_h11(self):
        self.is_h11s = True
        data, self.pending = self.pending, b""
        super().data_received(data)

    def on_response_complete(self):
        super().on_response_complete()
        if self.pending:
            self.leave_to_h11()
        elif self.conn.states == {h11.CLIENT: h11.IDLE, h11.SERVER: h11.IDLE}:
            self.is_h11s = self.keeps_to_h11 or bool(self.conn.trailing_data[0])


class PlainCycle(RequestResponseCycle):
    """One request that was read whole, and its answer."""

    is_plain = False
    # The answer's head, until it is written.
    head = b""
    # Bytes of its body that are still to come.
    left = 0

    async def send(self, message):
        kind = message["type"]
        if kind == "http.response.start" and not self.response_started and not self.disconnected:
            self.is_plain = self.begin(message)
            if self.is_plain:
                return
            try:
                self.hand_over()
            except Exception:
                self.transport.close()
                raise
        elif kind == "http.response.body" and self.is_plain and not self.response_complete:
            await self.go_on(message)
            return
        # Errors of the application as well: uvicorn has words for them.
        await super().send(message)

    def begin(self, message):
        """Whether it is an answer for us."""
        status = message["status"]
        headers = self.default_headers + list(message.get("headers", []))
        lengths = [value for name, value in headers if name.lower() == b"content-length"]
        if status not in STATUS_LINES or len(lengths) != 1 or not lengths[0].isdigit() or not self.keep_alive:
            return False
        block = b"".join([b"%b: %b\r\n" % header for header in headers])
        is_whole = block.count(b"\n") == len(headers) and HEADERS.fullmatch(block) is not None
        if not is_whole or not NOT_PLAIN.isdisjoint([name.lower() for name, _ in headers]):
            return False
        self.response_started = True
        self.status = status
        self.left = int(lengths[0])
        self.head = STATUS_LINES[status] + block + b"\r\n"
        return True

    async def go_on(self, message):
        if self.flow.write_paused and not self.disconnected:
            await self.flow.drain()
        if self.disconnected:
            return
        body, more = message.get("body", b""), message.get("more_body", False)
        self.left -= len(body)
        if self.left < 0:
            body = b""
        if body or not more or self.left < 0:
            self.write(body)
        if self.left < 0 or (self.left > 0 and not more):
            raise RuntimeError("the answer is not as long as it says")
        if more:
            return
        self.response_complete = True
        self.message_event.set()
        if not self.keep_alive:
            self.transport.close()
        self.on_response()

    def write(self, body):
        head, self.head = self.head, b""
        if head or body:
            self.transport.write(head + body)
        # Afterwards: the gateway goes on meanwhile.
        if head and self.access_log:
            self.note()

    def note(self):
        client, path = get_client_addr(self.scope), get_path_with_query_string(self.scope)
        handler = usual_handler(self.access_logger)
        if handler is not None:
            handler.acquire()
            try:
                handler.stream.write(LINE.format(client, path, self.status, PHRASES[self.status]))
                handler.flush()
                return
            except Exception:
                # What becomes of that is the logger's business.
                pass
            finally:
                handler.release()
        self.access_logger.info('%s - "%s %s HTTP/%s" %d', client, "POST", path, "1.1", self.status)


def read(data):
    """Target, headers and body of one plain request, if that is what this is."""
    match = HEAD.match(data)
    if match is None or len(data) > LONGEST:
        return None
    target, lines = match.groups()
    headers = []
    for line in lines.splitlines():
        name, _, value = line.partition(b":")
        headers.append((name.lower(), value.strip(b" \t")))
    names = [name for name, _ in headers]
    if not NOT_PLAIN.isdisjoint(names) or names.count(b"host") != 1 or names.count(b"content-length") != 1:
        return None
    length = headers[names.index(b"content-length")][1]
    body = data[match.end() :]
    if not length.isdigit() or int(length) != len(body):
        return None
    return target, headers, body


def may_become_plain(data):
    """Whether this may be the beginning of a plain request."""
    if len(data) > LONGEST:
        return False
    match = HEAD.match(data)
    if match is None:
        return len(data) <= LONGEST_HEAD and b"\r\n\r\n" not in data
    length = re.search(rb"\ncontent-length:[ \t]*([0-9]+)", match.group(), re.IGNORECASE)
    return length is not None and len(data) < match.end() + int(length.group(1)) <= LONGEST


def usual_handler(logger):
    """What writes the log's lines, where nobody has changed how uvicorn does that."""
    if len(logger.handlers) != 1 or logger.filters or logger.propagate or not logger.isEnabledFor(logging.INFO):
        return None
    handler = logger.handlers[0]
    if type(handler) is not logging.StreamHandler or handler.filters or handler.level > logging.INFO:
        return None
    formatter = handler.formatter
    is_usual = type(formatter) is AccessFormatter and formatter._fmt == FORMAT and not formatter.use_colors
    return handler if is_usual and logging.getLogRecordFactory() is logging.LogRecord else None


def is_alike():
    """Whether with this uvicorn an application is told the same, and its client answered the same, as by uvicorn's own."""
    if AutoHTTPProtocol is not H11Protocol:
        # It has a quicker one.
        return False
    own, plain = (asyncio.run(asyncio.wait_for(seen_with(protocol), PATIENCE)) for protocol in (H11Protocol, PlainProtocol))
    return own == plain


async def seen_with(protocol):
    seen = []

    async def app(scope, receive, send):
        seen.append((dict(scope), await receive()))
        headers = [(b"content-type", b"application/json"), (b"content-length", b"2")]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": b"[]", "more_body": True})
        await send({"type": "http.response.body", "body": b"", "more_body": False})

    config = uvicorn.Config(app, log_config=None)
    config.load()
    state, loop = ServerState(), asyncio.get_running_loop()
    state.default_headers = [(b"server", b"uvicorn")]
    ours, clients = socket.socketpair()
    clients.setblocking(False)
    transport, _ = await loop.connect_accepted_socket(
        lambda: protocol(config=config, server_state=state, app_state={"of": "app"}, _loop=loop), ours
    )
    head = b"POST /a%20b?c=d HTTP/1.1\r\nhost: localhost\r\nAccept: */*\r\ncontent-type: text/csv\r\ncontent-length: 3\r\n\r\n"
    with clients:
        for body in (b"1,2", b"3,4"):
            await loop.sock_sendall(clients, head + body)
            answer = b""
            while not answer.endswith(b"[]"):
                part = await loop.sock_recv(clients, 4096)
                if not part:
                    break
                answer += part
            seen.append(answer)
        # It is as ready for the next as the other.
        seen.append((state.total_requests, len(state.connections)))
        transport.close()
    return seen
