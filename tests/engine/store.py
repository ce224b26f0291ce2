"""Debian packages of a Docker engine, unpacked beside the system instead of installed into it."""

from __future__ import annotations

import os
import platform
import shutil
import subprocess
from pathlib import Path

# Compose's `interface_name` and networks without IPv4 need Engine 28.1 and Compose 2.36: newer than stable Debian's.
SUITE = "forky"
PACKAGES = ("docker.io", "docker-cli", "containerd", "docker-compose", "docker-buildx", "tini-static")
# Installed on the host by tests/packages.sh: they need the host's own C library.
HOST_TOOLS = ("mmdebstrap", "runc", "iptables")


class EngineMissingError(Exception):
    """No engine can be had here; the text says why, and what mends it."""


def cache_dir() -> Path:
    """Where everything of the engine that is worth keeping between runs is kept."""
    root = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    return root / "container-router" / "engine"


def say(text: str) -> None:
    """One line of progress; the first run takes about a minute."""
    print(f"engine: {text}", flush=True)


def run(*argv: str, env: dict[str, str] | None = None, cwd: Path | None = None, timeout: float = 600) -> str:
    """Run to the end, return standard output; EngineMissingError carries the last lines of what went wrong."""
    done = subprocess.run(
        argv, env=env, cwd=cwd, timeout=timeout, capture_output=True, text=True, stdin=subprocess.DEVNULL, check=False
    )
    if done.returncode:
        tail = "\n".join((done.stdout + done.stderr).strip().splitlines()[-8:])
        raise EngineMissingError(f"`{' '.join(argv[:3])} …` failed with status {done.returncode}:\n{tail}")
    return done.stdout


def mirrors(suite: str) -> list[str]:
    """sources.list lines of another suite, from the mirrors that this machine's own apt uses."""
    codename = platform.freedesktop_os_release().get("VERSION_CODENAME", "")
    targets = run("apt-get", "indextargets", "--format", "$(ORIGIN) $(REPO_URI) $(RELEASE)", "Created-By: Packages")
    lines = []
    for target in sorted(set(targets.split("\n"))):
        origin, uri, release = [*target.split(" "), "", "", ""][:3]
        if origin == "Debian" and codename and release.startswith(codename):
            lines.append(f"deb {uri} {release.replace(codename, suite, 1)} main")
    if not lines:
        raise EngineMissingError("apt knows no Debian mirror here: run `apt-get update` once")
    return lines


def unpacked() -> Path:
    """The directory with the engine's programs below usr/; downloads and unpacks them when they are not there yet."""
    missing = [tool for tool in HOST_TOOLS if not shutil.which(tool, path="/usr/sbin:/usr/bin:/sbin:/bin")]
    if missing:
        raise EngineMissingError(f"not installed: {', '.join(missing)}; run `sh tests/packages.sh engine` as root")
    root = cache_dir() / "root"
    if (root / ".done").exists():
        return root
    say(f"downloading {', '.join(PACKAGES)}")
    shutil.rmtree(root, ignore_errors=True)
    work = cache_dir() / "download"
    shutil.rmtree(work, ignore_errors=True)
    for directory in ("lists/partial", "archives/partial", "parts"):
        (work / directory).mkdir(parents=True)
    (work / "status").touch()
    # The suite itself is enough: its security and update suites may not exist before its release.
    (work / "sources.list").write_text("\n".join(x for x in mirrors(SUITE) if f" {SUITE} " in x) + "\n")
    (work / "apt.conf").write_text(
        f'Dir::Etc::SourceList "{work}/sources.list";\nDir::Etc::SourceParts "{work}/parts";\n'
        f'Dir::State "{work}";\nDir::State::status "{work}/status";\nDir::Cache "{work}";\n'
        'Acquire::Check-Valid-Until "false";\nAPT::Sandbox::User "root";\n'
    )
    env = {**os.environ, "APT_CONFIG": str(work / "apt.conf")}
    run("apt-get", "update", "-q", env=env)
    run("apt-get", "download", "-q", *PACKAGES, env=env, cwd=work)
    for package in sorted(work.glob("*.deb")):
        say(f"unpacking {package.name}")
        run("dpkg-deb", "-x", str(package), str(root))
    plugins = root / "config" / "cli-plugins"
    plugins.mkdir(parents=True)
    for plugin in ("docker-compose", "docker-buildx"):
        (plugins / plugin).symlink_to(root / "usr/libexec/docker/cli-plugins" / plugin)
    shutil.rmtree(work)
    (root / ".done").touch()
    return root
