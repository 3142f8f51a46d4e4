"""What stands in for a replica that is ill in a way of its own; each on a port of its own.

    with Silent() as replica:      answers GET, so it passes as ready, and never a POST, whose number is in `asked`
    with Deaf() as replica:        takes no connection and refuses none, as a machine that is gone"""

from __future__ import annotations

import socket
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


class Silent:
    def __enter__(self) -> Silent:
        silent, self.asked, self._over = self, 0, threading.Event()

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self) -> None:
                self.send_response(200)
                self.send_header("Content-Length", "0")
                self.end_headers()

            def do_POST(self) -> None:
                silent.asked += 1
                silent._over.wait()
                self.close_connection = True

            def log_message(self, *said: object) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self.port = self._server.server_address[1]
        threading.Thread(target=self._server.serve_forever, daemon=True).start()
        return self

    def __exit__(self, *problem: object) -> None:
        self._over.set()
        self._server.shutdown()
        self._server.server_close()


class Deaf:
    """Its queue of connections is full: the kernel drops what would open one more."""

    def __enter__(self) -> Deaf:
        self._sockets = [socket.create_server(("127.0.0.1", 0), backlog=0)]
        self.port = self._sockets[0].getsockname()[1]
        for _ in range(4):
            client = socket.socket()
            client.setblocking(False)
            client.connect_ex(("127.0.0.1", self.port))
            self._sockets.append(client)
        return self

    def __exit__(self, *problem: object) -> None:
        for taken in self._sockets:
            taken.close()
