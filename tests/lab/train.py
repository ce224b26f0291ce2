"""A train of numbered packets from a node: what is lost, for how long, and by which source it is seen."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Literal, NamedTuple, Self

from tests.lab.node import LAB, Node
from tests.lab.wait import wait_for


class Answer(NamedTuple):
    """An answer: the packet's number, when it came (CLOCK_MONOTONIC), and the source the echo server saw (UDP only)."""

    number: int
    time: float
    source: str


class Gap(NamedTuple):
    """Packets lost in a row: the first one's number, when it was sent, how many, and for how many seconds."""

    number: int
    time: float
    packets: int
    seconds: float


@dataclass(frozen=True)
class Result:
    """A finished train: when each packet was sent, and the answers in their order."""

    times: tuple[float, ...]
    answers: tuple[Answer, ...]

    @property
    def lost(self) -> list[int]:
        """Numbers of the packets without an answer."""
        return sorted(set(range(len(self.times))) - {answer.number for answer in self.answers})

    @property
    def gaps(self) -> list[Gap]:
        """Packets lost in a row, each row's length until the next packet that was answered (or the last one sent)."""
        found: list[Gap] = []
        lost = self.lost
        start = 0
        for index, number in enumerate(lost):
            if index + 1 == len(lost) or lost[index + 1] != number + 1:
                first = lost[start]
                end = self.times[min(number + 1, len(self.times) - 1)]
                found.append(Gap(first, self.times[first], number + 1 - first, end - self.times[first]))
                start = index + 1
        return found

    @property
    def sources(self) -> list[str]:
        """The sources seen, in order of their first sight."""
        return list(dict.fromkeys(answer.source for answer in self.answers))

    def __str__(self) -> str:
        gaps = ", ".join(f"{gap.packets} from {gap.number} ({gap.seconds * 1e3:.0f} ms)" for gap in self.gaps)
        return f"{len(self.times)} sent, {len(self.lost)} lost{': ' + gaps if gaps else ''}"


class Train:
    """Sends a packet every `interval` seconds from entering the context until leaving it (or `stop`).

    UDP goes to the echo server at `address` and `port`, ICMP to anybody. After the context `result` has the outcome.

        with Train(lab.nodes["laptop"], "2001:db8:f::7") as train:
            train.wait_flowing()
            lab.isp["kpn"].delegate("2001:db8:a200::/48")
            seen = train.wait_source(lambda source: source.startswith("2001:db8:a200:"))
        print(train.result, train.result.gaps)
    """

    def __init__(
        self,
        node: Node,
        address: str,
        port: int = 7,
        *,
        protocol: Literal["udp", "icmp"] = "udp",
        interval: float = 0.001,
    ) -> None:
        self._node = node
        self._argv = [sys.executable, "-I", "-S", str(LAB / "trainer.py"), protocol, address, str(port), str(interval)]
        self._process: subprocess.Popen[str] | None = None
        self._reader = threading.Thread(target=self._read, name=f"train of {node.name}", daemon=True)
        self._result: Result | None = None
        self.sources: list[Answer] = []
        self.sent = 0
        self.received = 0
        self.last = 0.0

    def __enter__(self) -> Self:
        self._process = self._node.popen(self._argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self._reader.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def _read(self) -> None:
        assert self._process is not None
        assert self._process.stdout is not None
        for line in self._process.stdout:
            self._take(json.loads(line))

    def _take(self, fact: dict[str, Any]) -> None:
        if "source" in fact:
            self.sources.append(Answer(fact["number"], fact["at"], fact["source"]))
        elif "sent" in fact:
            self.sent, self.received, self.last = fact["sent"], fact["received"], fact["last"]
        else:
            self._result = Result(tuple(fact["times"]), tuple(Answer(*answer) for answer in fact["answers"]))

    def stop(self) -> Result:
        """End the train, wait half a second for stragglers, and return the result."""
        if self._process and self._process.returncode is None:
            assert self._process.stdin is not None
            self._process.stdin.close()
            self._reader.join(10)
            self._process.wait(10)
        return self.result

    @property
    def result(self) -> Result:
        """The outcome of a train that has ended. AssertionError before, or if it died."""
        assert self._result is not None, f"the train of {self._node.name} has no result: still running, or dead"
        return self._result

    def wait_flowing(self, timeout: float = 10.0, what: str = "") -> None:
        """Wait until a packet that is answered from now on, as far as reported."""
        since = time.monotonic()
        wait_for(lambda: self.last > since, timeout, what or f"an answer to the train of {self._node.name}")

    def wait_source(self, wanted: Callable[[str], bool], timeout: float = 10.0, what: str = "") -> Answer:
        """Wait until the echo server has seen such a source, now or earlier; returns the first answer that says so."""
        return wait_for(
            lambda: next((answer for answer in self.sources if wanted(answer.source)), None),
            timeout,
            lambda: f"{what or 'another source'}; seen so far: {[answer.source for answer in self.sources]}",
        )
