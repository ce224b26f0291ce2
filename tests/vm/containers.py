"""A second disk for the machine: a Docker engine with the images of this work tree in it.

The images are built in the engine of tests/engine. Loading them in the emulated machine would take minutes, so the
same dockerd fills a data directory here, without a network of its own, and mke2fs makes a disk of it.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

from tests.engine import images
from tests.engine.engine import Engine, private_environment, running
from tests.engine.store import EngineMissingError, unpacked
from tests.lab.wait import TimedOut, wait_for
from tests.vm import build

IMAGES = ("router-ingress", "router-firewall", "router-emulator")
PROGRAMS = ("usr/bin/containerd", "usr/bin/containerd-shim-runc-v2", "usr/bin/docker", "usr/bin/docker-init")
DAEMONS = ("usr/sbin/dockerd", "usr/sbin/docker-proxy")
PLUGIN = "usr/libexec/docker/cli-plugins/docker-compose"
START_SECONDS = 60.0
SECONDS = 300


@contextlib.contextmanager
def disk(progress: build.Progress = print) -> Iterator[Path]:
    """The disk, for the length of the block: `bin/`, `cli-plugins/` and `data/`.

    Raises build.MissingError with the reason where there is no engine or no dinit.
    """
    with _work() as work:
        archive = work / "images.tar"
        try:
            with running() as engine:
                if reason := images.missing(engine):
                    raise build.MissingError(reason)
                progress("vm: building the images")
                images.build(engine)
                argv = ("docker", "save", "-o", str(archive), *IMAGES)
                subprocess.run(argv, env=engine.environment, check=True, timeout=SECONDS)
            root = unpacked()
        except EngineMissingError as error:
            raise build.MissingError(f"no Docker engine: {error}") from None
        progress("vm: making a disk of them")
        tree = work / "tree"
        for name in ("bin", "cli-plugins", "data"):
            (tree / name).mkdir(parents=True)
        for program in (*PROGRAMS, *DAEMONS):
            shutil.copy2(root / program, tree / "bin")
        shutil.copy2(root / PLUGIN, tree / "cli-plugins")
        with loader(root, work, tree / "data") as engine:
            engine.docker("load", "-q", "-i", str(archive), timeout=SECONDS)
        archive.unlink()
        yield _image(tree, work / "disk.ext4")


@contextlib.contextmanager
def _work() -> Iterator[Path]:
    """A directory beside the machines: /tmp may be too small, or no place for overlayfs."""
    build.cache().mkdir(parents=True, exist_ok=True)
    work = Path(tempfile.mkdtemp(prefix="containers.", dir=build.cache()))
    try:
        yield work
    finally:
        shutil.rmtree(work, ignore_errors=True)


@contextlib.contextmanager
def loader(root: Path, work: Path, data: Path) -> Iterator[Engine]:
    """A dockerd that fills `data` and touches nothing of this machine's network.

    It has a network namespace of its own: `--bridge=none` alone removes docker0, also that of another dockerd, which
    then says "adding interface veth… to bridge docker0 failed: Device does not exist".
    """
    host = f"unix://{work}/docker.sock"
    engine = Engine({**private_environment(root), "DOCKER_HOST": host}, private=True)
    argv = ["unshare", "--net", "dockerd", "--data-root", str(data)]
    argv += ["--exec-root", f"{work}/exec", "--pidfile", f"{work}/dockerd.pid"]
    argv += ["--host", host, "--bridge=none", "--iptables=false", "--ip6tables=false", "--ip-forward=false"]
    with (
        (work / "log").open("wb") as log,
        subprocess.Popen(
            argv, env=engine.environment, stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True
        ) as daemon,
    ):
        try:
            wait_for(lambda: "Server Version" in engine.docker("info", check=False), START_SECONDS, "dockerd to answer")
            yield engine
        except TimedOut as error:
            text = (work / "log").read_text(errors="replace")[-2000:]
            raise build.MissingError(f"a second dockerd does not start here ({error}):\n{text}") from None
        finally:
            daemon.terminate()


def _image(tree: Path, target: Path) -> Path:
    """An ext4 image of the tree, with room for containers. `tree` is removed."""
    with target.open("wb") as file:
        file.truncate(8 << 30)
    features = "^metadata_csum,^64bit,^has_journal"
    argv = ("mke2fs", "-q", "-F", "-t", "ext4", "-O", features, "-m", "0", "-d", str(tree), str(target))
    subprocess.run(argv, check=True, stdin=subprocess.DEVNULL, env={**os.environ, "MKE2FS_CONFIG": "/dev/null"})
    shutil.rmtree(tree)
    return target
