"""A Docker engine on a unix socket, as tests/engine/record.py recorded a real one, or as bad as a test wants."""

from __future__ import annotations

import contextlib
import json
import socket
import threading
from pathlib import Path
from typing import Any

RECORDED = Path(__file__).parent / "recorded" / "docker-engine.json"
HEAD = b"HTTP/1.0 200 OK\r\nContent-Type: application/json\r\n\r\n"


class RecordedEngine:
    """Listens at `path`. `step` goes to a recorded one: its answers hold from then on, and its events are said.

    `answers`: path → JSON value, or bytes that are sent as they are in the place of a whole answer. `asked`: every
    request line. `mute`: it accepts and says nothing.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.recorded: dict[str, Any] = json.loads(RECORDED.read_text())
        self._steps = {step["name"]: step for step in self.recorded["steps"]}
        self.answers: dict[str, Any] = dict(self._steps["nothing"]["answers"])
        self.asked: list[str] = []
        self.mute = False
        self._streams: list[socket.socket] = []
        self._server: socket.socket | None = None
        self.start()

    def start(self) -> None:
        """Listen."""
        self.path.unlink(missing_ok=True)
        self._server = socket.socket(socket.AF_UNIX)
        self._server.bind(str(self.path))
        self._server.listen(64)
        threading.Thread(target=self._accept, args=(self._server,), daemon=True).start()

    def stop(self) -> None:
        """Gone, as after a stop of the engine; the socket file too."""
        if self._server is not None:
            # A thread that waits in accept() is not woken by a close alone.
            with contextlib.suppress(OSError):
                self._server.shutdown(socket.SHUT_RDWR)
            self._server.close()
            self._server = None
        self.path.unlink(missing_ok=True)
        for stream in self._streams:
            with contextlib.suppress(OSError):
                stream.shutdown(socket.SHUT_RDWR)
            stream.close()
        self._streams.clear()

    @property
    def streams(self) -> int:
        """Listeners to events."""
        return len(self._streams)

    def step(self, name: str) -> None:
        """What a real engine said and answered then."""
        self.answers = dict(self._steps[name]["answers"])
        self.say(self._steps[name]["events"].encode())

    def say(self, data: bytes) -> None:
        """On every stream of events."""
        for stream in tuple(self._streams):
            try:
                stream.sendall(data)
            except OSError:
                with contextlib.suppress(ValueError):
                    self._streams.remove(stream)

    def _accept(self, server: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while True:
                connection, _ = server.accept()
                threading.Thread(target=self._answer, args=(connection,), daemon=True).start()

    def _answer(self, connection: socket.socket) -> None:
        with contextlib.suppress(OSError):
            request = b""
            while b"\r\n\r\n" not in request:
                data = connection.recv(65536)
                if not data:
                    return
                request += data
            line = request.split(b"\r\n", 1)[0].decode()
            self.asked.append(line)
            path = line.split()[1]
            if self.mute:
                self._streams.append(connection)
                return
            if path.startswith("/events"):
                connection.sendall(self.recorded["head"].encode())
                self._streams.append(connection)
                return
            answer = self.answers.get(path)
            if isinstance(answer, bytes):
                connection.sendall(answer)
            elif answer is None:
                connection.sendall(b'HTTP/1.0 404 Not Found\r\n\r\n{"message":"no such container"}\n')
            else:
                connection.sendall(HEAD + json.dumps(answer).encode())
            connection.close()
