"""A Docker engine in a network namespace: that of a VM with containers."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.engine import base
from tests.engine.engine import START_SECONDS, STOP_SECONDS, Engine, private_environment
from tests.engine.store import EngineMissingError, unpacked
from tests.lab.netns import Namespace
from tests.lab.wait import TimedOut, wait_for


@contextmanager
def engine_in(space: Namespace, directory: Path, daemon_json: str) -> Iterator[Engine]:
    """An engine with that /etc/docker/daemon.json and the base image, its bridges and rules in the namespace.

    `directory` holds all it writes and is removed. Raises EngineMissingError where none can run.
    """
    if os.geteuid():
        raise EngineMissingError("only root can start an engine in a namespace")
    root = unpacked()
    archive = base.tarball()
    (directory / "daemon.json").write_text(daemon_json)
    host = f"unix://{directory}/docker.sock"
    engine = Engine({**private_environment(root), "DOCKER_HOST": host}, private=True)
    parts = {name: f"{directory}/{name}" for name in ("data", "exec", "docker.pid")}
    with (directory / "log").open("wb") as log:
        daemon = subprocess.Popen(
            (
                *("nsenter", f"--net=/run/netns/{space.name}", "dockerd", "--config-file", f"{directory}/daemon.json"),
                *("--data-root", parts["data"], "--exec-root", parts["exec"], "--pidfile", parts["docker.pid"]),
                *("--host", host),
            ),
            env=engine.environment,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,
        )

    def answers() -> bool:
        if daemon.poll() is not None:
            raise TimedOut("dockerd ended")
        return "Server Version" in engine.docker("info", check=False)

    try:
        try:
            wait_for(answers, START_SECONDS, "dockerd to answer", interval=0.05)
        except TimedOut as error:
            tail = "\n".join((directory / "log").read_text(errors="replace").splitlines()[-8:])
            raise EngineMissingError(f"dockerd does not start in a namespace ({error}):\n{tail}") from error
        engine.docker("import", "--change", 'CMD ["bash"]', str(archive), base.IMAGE)
        yield engine
        containers = engine.docker("ps", "-aq", check=False).split()
        if containers:
            engine.docker("rm", "-f", *containers, check=False)
    finally:
        daemon.terminate()
        try:
            daemon.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            daemon.kill()
            daemon.wait()
        mounts = [line.split()[1] for line in Path("/proc/self/mounts").read_text().splitlines()]
        for mount in sorted((m for m in mounts if m.startswith(f"{directory}/")), reverse=True):
            subprocess.run(("umount", "-l", mount), check=False)
        shutil.rmtree(directory, ignore_errors=True)
