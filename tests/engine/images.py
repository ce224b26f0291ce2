"""`make images`: builds the router's images and the demos' emulator, in order, in whatever engine there is."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from tests.engine.engine import Engine, up
from tests.engine.store import EngineMissingError, say

ROOT = Path(__file__).parents[2]
ROLES = ("ingress", "firewall")
BUILD_SECONDS = 1200


def dinit_directory() -> Path | None:
    """A directory that stands for the stage `dinit` of the Dockerfiles; None: the stage comes from the registry."""
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    directory = Path(os.environ.get("DINIT_DIR") or cache / "dinit")
    return directory if (directory / "dinit/usr/sbin/dinit").exists() else None


def missing(engine: Engine) -> str | None:
    """Why the images cannot be built in an engine, None when they can."""
    if engine.private and dinit_directory() is None:
        return "no dinit: DINIT_DIR names no directory with dinit/usr/sbin/dinit, and there is no registry"
    return None


def revision() -> str:
    """The commit that the images are made of, `-dirty` when the work tree differs."""
    argv = ("git", "-C", str(ROOT), "describe", "--always", "--dirty", "--abbrev=12")
    done = subprocess.run(argv, capture_output=True, text=True, check=False)
    return done.stdout.strip() or "unknown"


def build(engine: Engine) -> None:
    """Build all three images; AssertionError carries the builder's last lines."""
    directory = dinit_directory()
    context = ("--build-context", f"dinit={directory}") if directory else ()
    for role in ROLES:
        say(f"building router-{role}")
        labels = ("--build-arg", f"REVISION={revision()}")
        argv = ("build", "-f", f"{ROOT}/Dockerfile.{role}", "-t", f"router-{role}", *context, *labels, str(ROOT))
        engine.docker(*argv, timeout=BUILD_SECONDS)
    say("building router-emulator")
    engine.docker("build", "-t", "router-emulator", f"{ROOT}/compose/emulator", timeout=BUILD_SECONDS)


def size(engine: Engine, image: str) -> float:
    """Uncompressed size of an image in MB (10^6 bytes), as `docker image inspect` tells it."""
    return int(engine.docker("image", "inspect", "--format", "{{.Size}}", image)) / 1e6


def main() -> int:
    """Build, then say what was built."""
    try:
        engine = up()
        if engine.private and dinit_directory() is None:
            say("no registry may be in reach and DINIT_DIR names no dinit: see docs/operations.md, Images")
        build(engine)
    except (EngineMissingError, AssertionError) as error:
        sys.stderr.write(f"{error}\n")
        return 1
    for image in (*(f"router-{role}" for role in ROLES), "router-emulator"):
        say(f"{image}: {size(engine, image):.0f} MB")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
