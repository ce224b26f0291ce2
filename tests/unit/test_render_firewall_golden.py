"""Every file that the firewall generates in a few situations, against `tests/golden/firewall/<case>/`.

After a wanted change: `GOLDEN=write pytest tests/unit/test_render_firewall_golden.py`, and read the difference.
"""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from agent.desired import Plan, Ruleset
from agent.desired.advertise import RadvdConfig
from agent.desired.dhcp4 import KeaDhcp4Config
from agent.desired.dhcp6 import KeaDhcp6Config
from agent.plan.firewall import plan_firewall
from agent.render import render_file, render_ruleset
from tests.golden.firewall_cases import NOW, Case, cases

GOLDEN = Path(__file__).parents[1] / "golden" / "firewall"


def script(ruleset: Ruleset) -> str:
    """The ruleset as one script."""
    elements = (
        f"add element inet router {name} {{ {', '.join(f'{k} : {v}' if v else k for k, v in found.items())} }}\n"
        for name, found in sorted(ruleset.elements.items())
        if found
    )
    return ruleset.skeleton + "".join(elements)


def told(plan: Plan) -> str:
    """What is not in a file: links, addresses, routes, … one to a line, sorted within their kind."""
    lines = []
    for kind in ("links", "addresses", "routes", "rules", "neighbours", "sysctls", "flows", "facts", "problems"):
        values = [repr(value) for value in getattr(plan, kind)]
        lines += [f"# {kind}", *(values if kind in {"links", "sysctls"} else sorted(values))]
    lines += ["# services", *(f"{name} {wanted}" for name, wanted in plan.services.items())]
    lines += [
        "# memory",
        *(f"{name} {mark}" for name, mark in plan.memory.marks.items()),
        f"# again_at {plan.again_at}",
    ]
    return "\n".join(lines) + "\n"


def generated(case: Case) -> dict[str, str]:
    """File name → text."""
    plan = plan_firewall(case.settings, case.state, NOW)
    documents = [render_file(d) for d in plan.files if isinstance(d, RadvdConfig | KeaDhcp4Config | KeaDhcp6Config)]
    files = {document.path: document.text for document in documents}
    return {"router.nft": script(render_ruleset(plan.nft)), "plan.txt": told(plan), **files}


@pytest.mark.parametrize("name", sorted(cases()))
def test_the_generated_files_are_those_of_the_golden_directory(name: str) -> None:
    found, directory = generated(cases()[name]), GOLDEN / name
    if os.environ.get("GOLDEN") == "write":
        directory.mkdir(parents=True, exist_ok=True)
        for file, text in found.items():
            (directory / file).write_text(text)
    assert found == {file.name: file.read_text() for file in directory.iterdir()}
