"""An event loop that sends requests at set moments, and a record of each.

    client = Client(("127.0.0.1", 8080))
    client.at(client.now() + 1, call)           whatever is to happen at a moment: arrivals, signals, looks at memory
    client.send(request, scheduled, done)       on a kept connection that is free, or on a new one; then done(record)
    client.run()                                until nothing is due or under way any more

One thread, epoll and plain sockets: one core offers some ten thousand requests per second. Nothing is ever sent twice
unless a `done` says so. Latency counts from the moment a request was scheduled, whenever it could be sent, so that a server
that lets its clients wait does not look better than it is."""

from __future__ import annotations

import errno
import gc
import heapq
import select
import socket
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass

from .messages import Answer, Request, parse

RECEIVE_BYTES = 1 << 18
CALLS_MOST = 32  # in a row before sockets are looked at again
PATIENCE_SECONDS = 60  # with requests under way and nothing coming in

# Why there is no good answer. Nothing had been sent:
REFUSED = "refused"  # no connection
UNSENT = "unsent"  # a connection that was closed before a byte went out
WITHHELD = "withheld"  # the driver allowed no new connection
# Something had:
LOST = "lost"  # the connection closed without a byte of an answer
TORN = "torn"  # or in the middle of it
SILENT = "silent"  # no answer for longer than anyone waits
WRONG = "wrong"  # a 200 that is not what was asked for


@dataclass(slots=True)
class Record:
    """All moments are those of Client.now()."""

    scheduled: float
    request: Request
    sent: float = 0.0
    answered: float = 0.0  # when it was over, whatever the end
    status: int = 0
    retry_after: int | None = None
    retry_after_ms: int | None = None
    fault: str = ""
    body: bytes = b""  # where the request wants it, and of surprising answers

    @property
    def good(self) -> bool:
        return self.status == 200 and not self.fault

    @property
    def failed(self) -> bool:
        """It went out, and the client is left without a complete answer, or the server says that it is at fault."""
        return self.fault in (LOST, TORN, SILENT, WRONG) or self.status >= 500

    @property
    def latency(self) -> float:
        return self.answered - self.scheduled


Done = Callable[[Record], object]


class _Connection:
    __slots__ = ("socket", "record", "done", "received", "unsent", "connecting", "open")

    def __init__(self, connected: socket.socket) -> None:
        self.socket = connected
        self.record: Record | None = None  # of the request under way
        self.done: Done | None = None
        self.received = b""
        self.unsent = b""
        self.connecting = self.open = True


class Client:
    now = staticmethod(time.monotonic)

    def __init__(self, address: tuple[str, int], connections: int = 900) -> None:
        self.address = address
        self.connections_most = connections
        self.may_connect = True  # set to False, requests that need a new connection are withheld
        self._epoll = select.epoll()
        self._connections: dict[int, _Connection] = {}
        self._idle: list[_Connection] = []
        self._backlog: deque[tuple[Record, Done]] = deque()  # waits for a connection
        self._due: list[tuple[float, int, Callable[[], object]]] = []
        self._order = 0
        self._busy = 0

    def __enter__(self) -> Client:
        return self

    def __exit__(self, *problem: object) -> None:
        for connection in list(self._connections.values()):
            self._drop(connection)
        self._epoll.close()

    def at(self, when: float, call: Callable[[], object]) -> None:
        self._order += 1
        heapq.heappush(self._due, (when, self._order, call))

    def send(self, request: Request, scheduled: float, done: Done) -> None:
        self._dispatch(Record(scheduled, request), done)

    def run(self) -> None:
        gc.disable()  # its pauses would be the server's
        try:
            while self._due or self._busy or self._backlog:
                self._call_due()
                self._serve_backlog()
                self._wait()
        finally:
            gc.enable()

    # ---- moments ----

    def _call_due(self) -> None:
        for _ in range(CALLS_MOST):
            if not self._due or self._due[0][0] > self.now():
                return
            heapq.heappop(self._due)[2]()

    def _wait(self) -> None:
        """The last part of a millisecond is spent looking: epoll knows no shorter time."""
        if self._due:
            milliseconds = max(0, int((self._due[0][0] - self.now()) * 1000))
            timeout = (milliseconds - 0.5) / 1000 if milliseconds else 0
        elif self._busy:
            timeout = PATIENCE_SECONDS
        else:
            return
        events = self._epoll.poll(timeout)
        if not events and not self._due:
            self._give_up()
        for number, event in events:
            connection = self._connections.get(number)
            if connection:
                self._handle(connection, event)

    def _give_up(self) -> None:
        for connection in [one for one in self._connections.values() if one.record]:
            self._fail(connection, SILENT)

    # ---- connections ----

    def _dispatch(self, record: Record, done: Done) -> None:
        connection = self._kept() if record.request.keeps else None
        if connection:
            self._begin(connection, record, done)
        elif not self.may_connect:
            self._finish(record, done, WITHHELD)
        elif len(self._connections) >= self.connections_most:
            self._backlog.append((record, done))
        else:
            self._connect(record, done)

    def _kept(self) -> _Connection | None:
        while self._idle:
            connection = self._idle.pop()
            if connection.open:
                return connection
        return None

    def _connect(self, record: Record, done: Done) -> None:
        connected = socket.socket(socket.AF_INET, socket.SOCK_STREAM | socket.SOCK_NONBLOCK)
        connected.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        result = connected.connect_ex(self.address)
        if result == errno.ECONNREFUSED:
            connected.close()
            self._finish(record, done, REFUSED)
            return
        if result not in (0, errno.EINPROGRESS):
            raise OSError(result, f"no connection from this side: {errno.errorcode.get(result)}")
        connection = _Connection(connected)
        self._connections[connected.fileno()] = connection
        self._epoll.register(connected, select.EPOLLOUT)
        connection.record, connection.done, connection.unsent = record, done, record.request.data
        self._busy += 1

    def _drop(self, connection: _Connection) -> None:
        """Closing the socket takes it from epoll."""
        if connection.open:
            connection.open = False
            del self._connections[connection.socket.fileno()]
            connection.socket.close()

    def _serve_backlog(self) -> None:
        while self._backlog and (self._idle or len(self._connections) < self.connections_most):
            self._dispatch(*self._backlog.popleft())

    # ---- requests ----

    def _begin(self, connection: _Connection, record: Record, done: Done) -> None:
        connection.record, connection.done, connection.unsent = record, done, record.request.data
        self._busy += 1
        self._write(connection)

    def _write(self, connection: _Connection) -> None:
        record = connection.record
        assert record
        try:
            count = connection.socket.send(connection.unsent)
        except BlockingIOError:
            count = 0
        except OSError:
            self._fail(connection, LOST if record.sent else UNSENT)
            return
        if count and not record.sent:
            record.sent = self.now()
        connection.unsent = connection.unsent[count:]
        if connection.unsent:
            self._epoll.modify(connection.socket, select.EPOLLIN | select.EPOLLOUT)

    def _handle(self, connection: _Connection, event: int) -> None:
        if connection.connecting:
            connection.connecting = False
            if connection.socket.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR):
                self._fail(connection, REFUSED)
                return
            self._epoll.modify(connection.socket, select.EPOLLIN)
            self._write(connection)
            return
        if event & ~select.EPOLLOUT:
            self._read(connection)
        if event & select.EPOLLOUT and connection.open and connection.record:
            self._epoll.modify(connection.socket, select.EPOLLIN)
            self._write(connection)

    def _read(self, connection: _Connection) -> None:
        try:
            chunk = connection.socket.recv(RECEIVE_BYTES)
        except BlockingIOError:
            return
        except OSError:
            chunk = b""
        record = connection.record
        if not record:  # the server is done with a connection that was kept
            self._drop(connection)
        elif not chunk:
            self._fail(connection, TORN if connection.received else LOST if record.sent else UNSENT)
        else:
            connection.received = connection.received + chunk if connection.received else chunk
            found = parse(connection.received)
            if found:
                self._complete(connection, *found)

    def _complete(self, connection: _Connection, answer: Answer, used: int) -> None:
        record, done = connection.record, connection.done
        assert record and done
        record.status, record.retry_after, record.retry_after_ms = answer.status, answer.retry_after, answer.retry_after_ms
        if record.request.wants_body or answer.status not in (200, 429):
            record.body = answer.body
        wrong = answer.status == 200 and record.request.expect not in answer.body
        usable = record.request.keeps and not answer.closes and used == len(connection.received)
        self._release(connection, usable and not connection.unsent)
        self._finish(record, done, WRONG if wrong else "")

    def _fail(self, connection: _Connection, fault: str) -> None:
        record, done = connection.record, connection.done
        assert record and done
        self._release(connection, False)
        self._finish(record, done, fault)

    def _release(self, connection: _Connection, usable: bool) -> None:
        connection.record = connection.done = None
        connection.received = connection.unsent = b""
        self._busy -= 1
        if usable:
            self._idle.append(connection)
        else:
            self._drop(connection)

    def _finish(self, record: Record, done: Done, fault: str) -> None:
        record.answered = self.now()
        record.fault = fault
        done(record)
