"""Who saw what when: rtnetlink messages and lines of `nft monitor` of a node, with CLOCK_MONOTONIC stamps."""

from __future__ import annotations

import contextlib
import socket
import subprocess
import threading
import time
from collections.abc import Callable, Iterator

from tests.lab.node import Node
from tests.lab.wait import wait_for

RTM_NEWLINK = 16
RTM_NEWROUTE = 24
RTMGRP_LINK = 0x1
RTMGRP_IPV6_ROUTE = 0x400


class Stamps:
    """A growing list of (time, text); one thread appends, another waits."""

    def __init__(self) -> None:
        self._seen: list[tuple[float, str]] = []

    def add(self, text: str) -> None:
        """Note the text now."""
        self._seen.append((time.monotonic(), text))

    def clear(self) -> None:
        """Forget what was seen."""
        self._seen = []

    def first(self, matches: Callable[[str], bool], timeout: float = 5.0, what: str = "") -> float:
        """When the first matching text was seen; waits for it."""
        return wait_for(lambda: next((t for t, text in self._seen if matches(text)), None), timeout, what)


@contextlib.contextmanager
def nft_monitor(node: Node) -> Iterator[Stamps]:
    """Every line that `nft monitor` prints in the node."""
    stamps = Stamps()
    process = node.popen(["nft", "monitor"], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, bufsize=1)
    assert process.stdout is not None
    lines = process.stdout

    def read() -> None:
        for line in lines:
            stamps.add(line)

    thread = threading.Thread(target=read, daemon=True)
    thread.start()
    # It has subscribed once it tells of a table of ours; the table lives only for that.
    wait_for(lambda: _told(node, stamps), 5.0, "nft monitor to listen", interval=0.05)
    node.run(["nft", "delete table ip bench_probe"])
    stamps.clear()
    try:
        yield stamps
    finally:
        process.kill()
        process.wait()
        thread.join()


def _told(node: Node, stamps: Stamps) -> bool:
    node.run(["nft", "add table ip bench_probe; delete table ip bench_probe; add table ip bench_probe"])
    return any("bench_probe" in text for _, text in stamps._seen)


@contextlib.contextmanager
def rtnetlink(node: Node, groups: int) -> Iterator[Stamps]:
    """Every rtnetlink message of these groups in the node, as `<type> <payload in hex>`."""
    stamps = Stamps()
    listener = node.socket(socket.AF_NETLINK, socket.SOCK_RAW, 0)
    listener.bind((0, groups))
    listener.settimeout(0.2)
    stop = threading.Event()

    def read() -> None:
        while not stop.is_set():
            with contextlib.suppress(TimeoutError):
                data = listener.recv(65536)
                stamps.add(f"{int.from_bytes(data[4:6], 'little')} {data.hex()}")

    thread = threading.Thread(target=read, daemon=True)
    thread.start()
    try:
        yield stamps
    finally:
        stop.set()
        thread.join()
        listener.close()
