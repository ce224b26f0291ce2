"""BIND 9.20, which the images have, on a machine with an older one: trixie's packages, unpacked and not installed."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from pathlib import Path

from tests.engine.base import proxy_options
from tests.engine.store import EngineMissingError, mirrors, run
from tests.lab.node import Node

PROGRAMS = {"named": "sbin", "named-checkconf": "bin", "named-checkzone": "bin"}
_WRAPPER = '#!/bin/sh\nexec {root}/{loader} --library-path {root}/{libraries} {root}/usr/{directory}/{name} "$@"\n'


def installed() -> bool:
    """Whether this machine's own named is new enough."""
    said = subprocess.run(["named", "-v"], capture_output=True, text=True, check=False).stdout
    found = re.search(r"BIND 9\.(\d+)", said)
    return found is not None and int(found[1]) >= 20


def _directory() -> Path:
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "container-router" / "bind920"


def unpacked() -> Path:
    """The directory of the unpacked packages; downloads them when they are not there yet (half a minute)."""
    root = _directory()
    if (root / ".done").exists():
        return root
    if not shutil.which("mmdebstrap"):
        raise EngineMissingError("mmdebstrap is not installed: run `sh tests/packages.sh engine` as root")
    shutil.rmtree(root, ignore_errors=True)
    root.parent.mkdir(parents=True, exist_ok=True)
    argv = ["mmdebstrap", "--variant=extract", "--mode=root", "--include=bind9", "--dpkgopt=path-exclude=/usr/share/*"]
    run(*argv, *proxy_options(), "trixie", str(root), *mirrors("trixie"))
    (root / ".done").touch()
    return root


def at_hand() -> bool:
    """Whether it is there without a download."""
    return installed() or (_directory() / ".done").exists()


def give(node: Node) -> None:
    """Put its programs in the place of the node's own; nothing is done where those are new enough."""
    if installed():
        return
    root = unpacked()
    loader = next(iter(sorted(root.glob("usr/lib*/ld-linux*.so.*")))).relative_to(root)
    libraries = next(iter(sorted(root.glob("usr/lib/*/libisc-*.so")))).parent.relative_to(root)
    node.run(["mkdir", "/run/bind920"])
    for name, directory in PROGRAMS.items():
        path = node.path(f"/run/bind920/{name}")
        path.write_text(_WRAPPER.format(root=root, loader=loader, libraries=libraries, directory=directory, name=name))
        path.chmod(0o755)
        node.run(["mount", "--bind", f"/run/bind920/{name}", f"/usr/{directory}/{name}"])
