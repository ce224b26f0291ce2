"""A Docker engine for the tests: the host's where one runs, else a private one that leaves nothing behind.

`python -m tests.engine.engine run COMMAND…` runs a command with `docker` of that engine on PATH and stops the engine
afterwards; `up` leaves it running, `down` stops it.
"""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from tests.engine import base, trace
from tests.engine.store import EngineMissingError, cache_dir, say, unpacked
from tests.lab.wait import TimedOut, wait_for

START_SECONDS = 60.0
STOP_SECONDS = 60.0


@dataclass(frozen=True)
class Engine:
    """A running engine: `environment` makes any `docker` command talk to it."""

    environment: dict[str, str]
    private: bool

    def docker(self, *argv: str, timeout: float = 600, check: bool = True) -> str:
        """Run `docker ARGV…` to its end and return what it printed; AssertionError carries what went wrong."""
        done = subprocess.run(
            ("docker", *argv),
            env=self.environment,
            timeout=timeout,
            capture_output=True,
            text=True,
            stdin=subprocess.DEVNULL,
            check=False,
        )
        if check and done.returncode:
            raise AssertionError(f"`docker {' '.join(argv)}` failed:\n{(done.stdout + done.stderr)[-4000:]}")
        return done.stdout


def host_engine() -> Engine | None:
    """The engine that runs on this host already, if its compose is recent enough to have been asked."""
    environment = dict(os.environ)
    for question in (("info",), ("compose", "version")):
        try:
            done = subprocess.run(("docker", *question), env=environment, capture_output=True, timeout=30, check=False)
        except (OSError, subprocess.TimeoutExpired):
            return None
        if done.returncode:
            return None
    return Engine(environment, private=False)


def directory() -> Path:
    """Where the private engine lives while it runs."""
    return cache_dir() / "run"


def private_environment(root: Path) -> dict[str, str]:
    """Environment of the unpacked programs."""
    path = f"{root}/usr/bin:{root}/usr/sbin:{os.environ.get('PATH', '/usr/bin:/bin')}:/usr/sbin:/sbin"
    return {
        **os.environ,
        "PATH": path,
        "DOCKER_CONFIG": str(root / "config"),
        "DOCKER_HOST": f"unix://{directory()}/docker.sock",
        "DOCKER_BUILDKIT": "1",
    }


def up() -> Engine:
    """The host's engine, the private one that runs already, or a new private one with the base image in it."""
    if found := host_engine():
        return found
    if os.geteuid():
        raise EngineMissingError("no Docker engine answers, and only root can start a private one")
    root = unpacked()
    archive = base.tarball()
    engine = Engine(private_environment(root), private=True)
    if _process() is None:
        _start(engine)
    if not engine.docker("image", "ls", "-q", base.IMAGE):
        say("importing the base image")
        engine.docker("import", "--change", 'CMD ["bash"]', str(archive), base.IMAGE)
    return engine


def _process() -> int | None:
    """Process id of the private engine, None when it does not run."""
    with contextlib.suppress(OSError, ValueError):
        number = int((directory() / "dockerd.id").read_text())
        if b"dockerd" in Path(f"/proc/{number}/cmdline").read_bytes():
            return number
    return None


def _start(engine: Engine) -> None:
    say("starting dockerd")
    here = directory()
    trace.clear(here)
    here.mkdir(parents=True)
    trace.record(here)
    with (here / "log").open("wb") as log:
        daemon = subprocess.Popen(
            (
                "dockerd",
                *("--data-root", f"{here}/data", "--exec-root", f"{here}/exec", "--pidfile", f"{here}/dockerd.pid"),
                *("--host", f"unix://{here}/docker.sock", "--ip-forward-no-drop"),
            ),
            env=engine.environment,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,
        )
    (here / "dockerd.id").write_text(str(daemon.pid))

    def answers() -> bool:
        if daemon.poll() is not None:
            raise TimedOut("dockerd ended")
        return "Server Version" in engine.docker("info", check=False)

    try:
        wait_for(answers, START_SECONDS, "dockerd to answer", interval=0.05)
    except TimedOut as error:
        tail = "\n".join((here / "log").read_text(errors="replace").splitlines()[-8:])
        down()
        raise EngineMissingError(f"dockerd does not start on this machine ({error}):\n{tail}") from error


def down() -> None:
    """Stop the private engine and remove all it made, containers, images, bridges and firewall tables included."""
    number = _process()
    if number:
        say("stopping dockerd")
        root = cache_dir() / "root"
        engine = Engine(private_environment(root), private=True)
        containers = engine.docker("ps", "-aq", check=False).split()
        if containers:
            engine.docker("rm", "-f", *containers, check=False)
        networks = engine.docker("network", "ls", "-q", "--filter", "type=custom", check=False).split()
        if networks:
            engine.docker("network", "rm", *networks, check=False)
        os.kill(number, signal.SIGTERM)
        wait_for(lambda: _process() is None, STOP_SECONDS, "dockerd to end")
    trace.clear(directory())


@contextlib.contextmanager
def running() -> Iterator[Engine]:
    """An engine for the length of the block; one that ran before goes on running."""
    before = _process()
    try:
        yield up()
    finally:
        if before is None:
            down()


def main(argv: list[str]) -> int:
    """`up`, `down` or `run COMMAND…`."""
    try:
        match argv:
            case ["up"]:
                engine = up()
                if engine.private:
                    names = ("DOCKER_HOST", "DOCKER_CONFIG")
                    say("  ".join(["it runs; to use it: export", *(f"{n}={engine.environment[n]}" for n in names)]))
                    say(f"  PATH={cache_dir()}/root/usr/bin:$PATH; `python -m tests.engine.engine down` stops it")
            case ["down"]:
                down()
            case ["run", *command] if command:
                with running() as engine:
                    return subprocess.run(command, env=engine.environment, check=False).returncode
            case _:
                print(__doc__, file=sys.stderr)
                return 2
    except EngineMissingError as error:
        print(f"engine: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
