"""The figures of the containers. Each function is called with an engine that has the images, and gives plain numbers.

Units: seconds, MB (10^6 bytes) for images, MiB (2^20 bytes) for memory. Every function removes what it started.
"""

from __future__ import annotations

import re
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

from tests.engine import images
from tests.engine.engine import Engine
from tests.engine.project import Project
from tests.lab.wait import wait_for

INTERNET4 = "203.0.113.7"
INTERNET6 = "2001:db8:f::7"
FAMILIES = {4: INTERNET4, 6: INTERNET6}
READY_SECONDS = 60.0
# An uplink that failed is used again when it was well for 2 s, twice that after each further failure.
RETURN_SECONDS = 300.0
PING_INTERVAL = 0.01  # seconds: the resolution of an outage
MEBI = 2**20


@contextmanager
def project(engine: Engine, *profiles: str) -> Iterator[Project]:
    """The IPoE demo, up and with a client that is served; removed afterwards."""
    demo = Project(engine, profiles=profiles)
    demo.down()
    try:
        demo.compose("up", "-d", "--wait", "--wait-timeout", str(int(READY_SECONDS)))
        wait_for(lambda: all(map(demo.answers, FAMILIES.values())), READY_SECONDS, "the internet to answer the client")
        yield demo
    finally:
        demo.down()


def image_size(engine: Engine, role: str) -> float:
    """`image-ingress`, `image-firewall`: MB, uncompressed."""
    return images.size(engine, f"router-{role}")


def compose_up(engine: Engine) -> float:
    """`compose-up`: seconds from `docker compose up` to the client's first answered IPv6 packet."""
    demo = Project(engine)
    demo.down()
    try:
        start = time.monotonic()
        up = demo.start("up", "-d")
        wait_for(lambda: demo.answers(INTERNET6), READY_SECONDS, "the client's first answer over IPv6")
        seconds = time.monotonic() - start
        up.communicate(timeout=READY_SECONDS)
        return seconds
    finally:
        demo.down()


def containers_memory(demo: Project) -> float:
    """`containers-memory`: MiB of anonymous memory of ingress and firewall containers of a running project."""
    services = [s for s in demo.compose("ps", "--services").split() if s == "firewall" or s.startswith("ingress-")]
    return sum(demo.anonymous_memory(service) for service in services) / MEBI


class Train:
    """Pings from the client every 10 ms; `longest_gap` between two answers is the outage in seconds."""

    def __init__(self, demo: Project, target: str) -> None:
        # -D: each line begins with the time of the answer. The end of standard input does not end ping: stop() does.
        self._process = demo.start("exec", "-T", "client", "ping", "-n", "-D", "-i", str(PING_INTERVAL), target)
        self._demo = demo
        self._target = target
        self._times: list[float] = []
        self._reader = threading.Thread(target=self._read)
        self._reader.start()
        wait_for(lambda: len(self._times) >= 10, READY_SECONDS, f"answers of {target}")

    def _read(self) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            if match := re.match(r"\[(\d+\.\d+)\].* bytes from ", line):
                self._times.append(float(match[1]))

    @property
    def last(self) -> float:
        """Wall-clock time of the latest answer."""
        return self._times[-1]

    def stop(self) -> float:
        """End the train; the longest gap in seconds."""
        self._demo.run("client", "pkill", "-INT", "-f", f"ping.*{self._target}", check=False)
        self._process.wait(timeout=READY_SECONDS)
        self._reader.join(timeout=READY_SECONDS)
        return max(b - a for a, b in zip(self._times, self._times[1:], strict=False))


def restart_ingress(demo: Project, service: str = "ingress-kpn") -> dict[int, float]:
    """`restart-ingress`: outage in seconds for each family (4, 6); the project must have a second uplink."""
    before = demo.inspect(service, "{{.State.StartedAt}}")
    trains = {family: Train(demo, target) for family, target in FAMILIES.items()}
    try:
        demo.compose("restart", service)
        assert demo.inspect(service, "{{.State.StartedAt}}") != before
        wait_for(lambda: demo.inspect(service, "{{.State.Health.Status}}") == "healthy", READY_SECONDS, service)
        wait_for(lambda: uses(demo, "kpn"), RETURN_SECONDS, "traffic to return")
        now = time.time()
        wait_for(lambda: all(t.last > now for t in trains.values()), READY_SECONDS, "answers after the restart")
    finally:
        gaps = {family: train.stop() for family, train in trains.items()}
    return gaps


def uses(demo: Project, uplink: str) -> bool:
    """Whether a new connection of each family leaves by an uplink, as the internet host sees it."""
    sources = {"kpn": ("192.0.2.", "2001:db8:a100:"), "odido": ("198.51.100.", "2001:db8:b:")}[uplink]
    return all(page_source(demo, family).startswith(source) for family, source in zip(FAMILIES, sources, strict=True))


def page_source(demo: Project, family: int) -> str:
    """The client's address as the internet host's web page tells it; empty when the page does not come."""
    target = FAMILIES[family] if family == 4 else f"[{FAMILIES[family]}]"
    text = demo.run("client", "curl", "-sS", "-m", "2", f"http://{target}/", check=False)
    return text.strip().removeprefix("You reached the internet from ") if text else ""


def daemon_kill(demo: Project, service: str, daemon: str) -> float:
    """`daemon-kill`: seconds from SIGKILL to the daemon's return as a new process.

    AssertionError when a neighbour in the container has another process id afterwards.
    """
    before = demo.daemons(service)
    start = time.monotonic()
    demo.run(service, "sh", "-c", f"kill -KILL {before[daemon]}")
    wait_for(
        lambda: demo.daemons(service).get(daemon, before[daemon]) != before[daemon],
        READY_SECONDS,
        f"{daemon} of {service}",
    )
    seconds = time.monotonic() - start
    after = demo.daemons(service)
    changed = {name for name, process in before.items() if name != daemon and after.get(name) != process}
    assert not changed, f"killing {daemon} of {service} touched {changed}"
    return seconds
