"""A small good configuration by sections, and the one thing that is wrong with a changed one."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from tempfile import TemporaryDirectory
from textwrap import dedent

from agent.config import CheckReport, Finding, Settings, check, load

GOOD = {
    "site": "site: { name: test, prefix: 'fd4b:9ca2:1d70::/48' }",
    "bus": "bus: { host: 10.98.0.1, password_file: p, users_file: u }",
    "firewall": "",
    "networks": """
        networks:
          home: { subnet: 0x10, ipv4: 10.10.0.0/24 }
          dmz: { subnet: 0x99, ipv4: 10.99.0.0/24, transit: true, dhcp4: { pool: 10.99.0.10-10.99.0.19 } }
        """,
    "uplinks": """
        uplinks:
          kpn: { kind: dhcp, priority: 10 }
          odido: { kind: dhcp, priority: 20 }
        """,
    "docker_hosts": "",
    "hosts": "hosts: { nas: { network: home, ipv4: 10.10.0.5, suffix: '::5' }, six: { network: home, suffix: '::6' } }",
    "lists": "",
    "rules": "",
    "policies": "",
    "forwards": "",
    "dns": "",
    "log": "",
}
HERE = "# here"


def config(**sections: str) -> str:
    """The good configuration with some sections replaced."""
    assert not set(sections) - set(GOOD)
    return "\n".join(dedent(text).strip() for text in (GOOD | sections).values() if text) + "\n"


def settings(environ: Mapping[str, str] | None = None, /, **sections: str) -> Settings:
    """The settings of a good configuration."""
    with TemporaryDirectory() as directory:
        path = Path(directory, "router.yaml")
        path.write_text(config(**sections))
        return load(path, environ or {})


def report(text: str | bytes, environ: Mapping[str, str] | None = None) -> CheckReport:
    """What `check` says of a text."""
    with TemporaryDirectory() as directory:
        path = Path(directory, "router.yaml")
        path.write_bytes(text.encode() if isinstance(text, str) else text)
        return check(path, environ or {})


def expect(text: str, key: str, message: str, mend: str, level: str = "error") -> Finding:
    """Exactly one finding of that level, in the line marked `# here`, and no error beside it."""
    found = report(text)
    findings = found.errors if level == "error" else found.warnings
    assert len(findings) == 1, found.render_text()
    assert level == "error" or not found.errors
    one = findings[0]
    lines = [number for number, line in enumerate(text.splitlines(), 1) if line.endswith(HERE)]
    assert [one.line] == lines, str(one)
    assert one.key == key
    assert message in one.message, str(one)
    assert mend in one.mend, str(one)
    assert one.level == level
    return one


_DMZ = "dmz: { ipv4: 10.99.0.0/24, transit: true, dhcp4: { pool: 10.99.0.10-10.99.0.19 } }"


def network(line: str) -> dict[str, str]:
    """A section with that network, to be complained of."""
    return {"networks": f"networks:\n  {_DMZ}\n  home: {line} # here", "hosts": ""}


def uplink(line: str) -> dict[str, str]:
    """A section with that uplink, to be complained of."""
    return {"uplinks": f"uplinks:\n  kpn: {line} # here"}


def rule(line: str) -> dict[str, str]:
    """A section with that rule, to be complained of."""
    return {"rules": f"rules:\n  - {line} # here"}


def host(line: str) -> dict[str, str]:
    """A section with that host, to be complained of."""
    return {"hosts": f"hosts:\n  nas: {line} # here"}
