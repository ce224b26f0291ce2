"""`routerctl init DIR`: the directory of a new router, ready to be edited.

DIR/home.yaml, DIR/common.yaml   the compose project, its NICs to be named
DIR/router-home.yaml             the configuration, with an internal prefix of its own
DIR/router.schema.json           what editors check the configuration with
DIR/secrets/                     passwords of the bus; a file for the ISP's password; `tls/` for a bus off the machine
"""

from __future__ import annotations

import json
import os
import secrets
import shutil
import subprocess
from collections.abc import Iterator
from ipaddress import IPv6Network
from pathlib import Path

from agent.config import load
from agent.config.schema import schema
from agent.secrets import make_secrets

# In a checkout beside the package; in an image where its Dockerfile puts them.
PLACES = (Path(__file__).resolve().parents[1] / "compose", Path("/usr/share/router"))
COPIED = ("home.yaml", "common.yaml")
CONFIGURATION = "router-home.yaml"
SCHEMA = "router.schema.json"
# RFC 4193 section 3.2: fd00::/8 and 40 random bits.
GLOBAL_ID_BITS = 40
TLS_DAYS = "3650"


class ProjectError(Exception):
    """The directory cannot be made; the text says why."""


def unique_local_prefix() -> IPv6Network:
    """A /48 that nobody else is likely to have."""
    return IPv6Network(((0xFD << 120) | (secrets.randbits(GLOBAL_ID_BITS) << 80), 48))


def make_project(directory: Path) -> Iterator[str]:
    """Make what is not there yet; a line on each thing made. A file that is there is never changed.

    Raises:
        ProjectError: the templates, or a certificate, cannot be had.
        OSError: the directory cannot be written.
    """
    templates = next((place for place in PLACES if (place / CONFIGURATION).is_file()), None)
    if templates is None:
        places = " nor in ".join(map(str, PLACES))
        raise ProjectError(f"no templates in {places}: run this in the image or in a checkout")
    directory.mkdir(parents=True, exist_ok=True)
    for name in COPIED:
        yield from _write(directory / name, (templates / name).read_text())
    yield from _write(directory / CONFIGURATION, _configuration((templates / CONFIGURATION).read_text()))
    yield from _write(directory / SCHEMA, json.dumps(schema(), indent=2) + "\n")
    place = directory / "secrets"
    yield from make_secrets(place, load(directory / CONFIGURATION, {}).nodes)
    for line in _write(place / "kpn_ppp", "the ISP's password\n", mode=0o600):
        yield f"{line}: write the password of the PPPoE user there"
    yield from _certificates(place / "tls", "10.98.0.1")
    yield f"now name your NICs in {directory}/home.yaml and your networks in {directory}/{CONFIGURATION}"


def _configuration(text: str) -> str:
    """The template with the schema's line and a prefix of its own."""
    before = str(IPv6Network("fd4b:9ca2:1d70::/48"))
    after = str(unique_local_prefix())
    text = text.replace(before, after).replace(before.removesuffix("::/48"), after.removesuffix("::/48"))
    return f"# yaml-language-server: $schema={SCHEMA}\n{text}"


def _write(path: Path, text: str, mode: int = 0o644) -> Iterator[str]:
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode)
    except FileExistsError:
        return
    with os.fdopen(descriptor, "w") as file:
        file.write(text)
    yield f"made {path}"


def _certificates(directory: Path, address: str) -> Iterator[str]:
    """An authority and the broker's certificate, for a bus that leaves the machine (`bus.tls`)."""
    if (directory / "bus_cert.pem").exists():
        return
    if shutil.which("openssl") is None:
        yield "no certificates were made: openssl(1) is not installed; only a bus off this machine needs them"
        return
    directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    curve = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", TLS_DAYS, "-x509")
    # RFC 5280 section 4.2.1.3: Python 3.13 and later refuse an authority that does not say what its key is for.
    signs = ("-addext", "keyUsage=critical,keyCertSign,cRLSign")
    authority = ("-keyout", "bus_ca.key", "-out", "bus_ca.pem", "-subj", "/CN=backstage authority", *signs)
    signed = ("-CA", "bus_ca.pem", "-CAkey", "bus_ca.key", "-addext", f"subjectAltName=IP:{address}")
    leaf = ("-addext", "basicConstraints=critical,CA:FALSE", "-keyout", "bus_key.pem", "-out", "bus_cert.pem")
    for argv in ((*curve, *authority), (*curve, *signed, *leaf, "-subj", "/CN=backstage broker")):
        done = subprocess.run(
            ("openssl", "req", *argv), cwd=directory, capture_output=True, text=True, umask=0o077, check=False
        )
        if done.returncode:
            raise ProjectError(f"openssl cannot make a certificate in {directory}: {done.stderr.strip()[-400:]}")
    yield f"made {directory}/bus_ca.pem, bus_cert.pem, bus_key.pem: for `bus.tls`; keep bus_ca.key off the router"
