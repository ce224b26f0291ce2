"""docs/configuration.md shows each form of a rule with the nft it becomes, and the table of services.

After a wanted change: `GOLDEN=write pytest tests/unit/test_docs_rules.py`, and read the difference.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from agent.config import Settings, check, load
from agent.config.service import SERVICES
from agent.model import Link, State
from agent.nodes import planner_for
from agent.render import render_ruleset

DOCUMENT = Path(__file__).resolve().parents[2] / "docs" / "configuration.md"
BEGIN, END = "<!-- rule forms: ", "<!-- end of the rule forms -->"
EXAMPLE = re.compile(r"```yaml\n(?P<yaml>.*?)```\n(?:\n```\n(?P<nft>.*?)```\n)?", re.DOTALL)
BASE = """
site: { name: docs, prefix: "fd00:1:2::/48" }
bus: { host: 10.98.0.1, broker: external, password_file: p }
networks:
  home: { subnet: 0x10, ipv4: 10.10.0.0/24 }
  iot: { subnet: 0x30, ipv4: 10.30.0.0/24 }
  dmz: { subnet: 0x99, ipv4: 10.99.0.0/24, transit: true, dhcp4: { pool: 10.99.0.10-10.99.0.19 } }
uplinks:
  kpn: { kind: dhcp }
  odido: { kind: dhcp }
hosts:
  nas: { network: home, mac: "02:00:00:00:10:05", ipv4: 10.10.0.5, suffix: "::5" }
  cam: { network: iot, ipv4: 10.30.0.7, suffix: "::7" }
"""


def rendered(settings: Settings, node: str) -> str:
    names = [*settings.networks] if node == "firewall" else ["wan", "dmz"]
    links = {number: Link(number, name, up=True, carrier=True) for number, name in enumerate(names, 2)}
    return render_ruleset(planner_for(settings, node)(State(synced=True, links=links), 0.0).nft).skeleton


def said(text: str, wanted: re.Pattern[str]) -> Iterator[str]:
    """The lines with what is wanted, below the names of their chains."""
    chain = shown = ""
    for line in map(str.strip, text.splitlines()):
        if line.startswith("chain "):
            chain = line.split()[1]
        elif line == "}":
            chain = ""
        elif wanted.search(line) and not line.startswith(("counter rule", "counter policy", "meta mark set")):
            if chain and chain != shown:
                yield f"chain {chain}:"
            shown = chain
            yield f"    {line}" if chain else line


def becomes(directory: Path, yaml: str) -> str:
    path = directory / "router.yaml"
    path.write_text(BASE + yaml)
    settings = load(path, {})
    forwards = "|forwards4" if settings.forwards else ""
    lines = [*said(rendered(settings, "firewall"), re.compile(rf"rule_\d|policy_\d|set list{forwards}"))]
    if settings.forwards:
        ingress = said(rendered(settings, "kpn"), re.compile(r"map forward_.*elements|ip saddr .* dnat"))
        lines += ["", "in the ingress kpn:", *ingress]
    return "\n".join(lines) + "\n"


def services() -> str:
    rows = (f"| `{name}` | {', '.join(f'{p.protocol} {p.first}' for p in ports)} |" for name, ports in SERVICES.items())
    return "| service | ports |\n|---|---|\n" + "\n".join(rows) + "\n"


def made_anew(text: str, directory: Path) -> str:
    before, begin, rest = text.partition(BEGIN)
    forms, end, after = rest.partition(END)
    assert begin
    assert end
    forms = EXAMPLE.sub(lambda m: f"```yaml\n{m['yaml']}```\n\n```\n{becomes(directory, m['yaml'])}```\n", forms)
    after = re.sub(r"\| service \| ports \|\n(\|.*\n)+", lambda _: services(), after, count=1)
    return before + begin + forms + end + after


def test_each_form_is_shown_with_the_nft_it_becomes(tmp_path: Path) -> None:
    text = DOCUMENT.read_text()
    found = made_anew(text, tmp_path)
    if os.environ.get("GOLDEN") == "write":
        DOCUMENT.write_text(found)
    assert found == text


@pytest.mark.parametrize("number", range(12))
def test_the_examples_are_without_a_warning(number: int, tmp_path: Path) -> None:
    yaml = [m["yaml"] for m in EXAMPLE.finditer(DOCUMENT.read_text().partition(BEGIN)[2].partition(END)[0])]
    assert len(yaml) == 12
    path = tmp_path / "router.yaml"
    path.write_text(BASE + yaml[number])
    report = check(path, {})
    assert report.errors == report.warnings == (), report.render_text()
