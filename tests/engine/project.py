"""A compose project in the engine, and looks into its containers."""

from __future__ import annotations

import re
import subprocess
from dataclasses import dataclass
from pathlib import Path

from tests.engine.engine import Engine
from tests.engine.images import ROOT

IPOE = ("ipoe-demo.yaml",)
STOP_SECONDS = 120.0


@dataclass(frozen=True)
class Project:
    """Compose files of compose/ (or absolute paths), as one project; `profiles` switches services on."""

    engine: Engine
    files: tuple[str, ...] = IPOE
    profiles: tuple[str, ...] = ()

    def command(self, *argv: str) -> tuple[str, ...]:
        """The arguments of `docker` for one compose command."""
        files = [word for file in self.files for word in ("-f", str(ROOT / "compose" / file))]
        profiles = [word for profile in self.profiles for word in ("--profile", profile)]
        return ("compose", "--progress", "plain", *files, *profiles, *argv)

    def compose(self, *argv: str, timeout: float = STOP_SECONDS, check: bool = True) -> str:
        """`docker compose ARGV…`: what it printed on standard output."""
        return self.engine.docker(*self.command(*argv), timeout=timeout, check=check)

    def run(self, service: str, *argv: str, check: bool = True) -> str:
        """Run a command in a service's container."""
        return self.compose("exec", "-T", service, *argv, check=check)

    def start(self, *argv: str) -> subprocess.Popen[str]:
        """`docker compose ARGV…` left running; the caller ends it."""
        return subprocess.Popen(
            ("docker", *self.command(*argv)),
            env=self.engine.environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )

    def container(self, service: str) -> str:
        """The id of a service's container."""
        return self.compose("ps", "-aq", service).strip()

    def inspect(self, service: str, form: str) -> str:
        """A field of the container, as a template of `docker inspect`."""
        return self.engine.docker("inspect", "--format", form, self.container(service)).strip()

    def answers(self, target: str, source: str = "client") -> bool:
        """Whether one ping from `source` is answered within a second."""
        return " 1 received" in self.run(source, "ping", "-c1", "-W1", target, check=False)

    def daemons(self, service: str) -> dict[str, int]:
        """Running services of dinit in a container: name → process id."""
        found = {}
        for line in self.run(service, "dinitctl", "list").splitlines():
            if match := re.match(r"\[.*\+.*\] (\S+) \(pid: (\d+)\)", line):
                found[match[1]] = int(match[2])
        return found

    def anonymous_memory(self, service: str) -> int:
        """Bytes of anonymous memory of a container's cgroup (`anon` of memory.stat; `total_rss` with cgroups v1)."""
        process = self.inspect(service, "{{.State.Pid}}")
        lines = Path("/proc", process, "cgroup").read_text().splitlines()
        paths = {fields[1]: fields[2] for fields in (line.split(":", 2) for line in lines)}
        one = Path("/sys/fs/cgroup/memory" + paths.get("memory", "/-"), "memory.stat")
        two = Path("/sys/fs/cgroup" + paths.get("", "/-"), "memory.stat")
        wanted = "total_rss" if one.exists() else "anon"
        for line in (one if one.exists() else two).read_text().splitlines():
            name, _, value = line.partition(" ")
            if name == wanted:
                return int(value)
        raise LookupError(f"no {wanted} in memory.stat of {service}")

    def down(self) -> None:
        """Stop and remove everything of the project, volumes included."""
        self.compose("down", "-v", "--timeout", "10", check=False)
