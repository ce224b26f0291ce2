"""Every file that an ingress generates in a few situations, against `tests/golden/ingress/<case>/`.

After a wanted change: `GOLDEN=write pytest tests/unit/test_render_ingress_golden.py`, and read the difference.
"""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from agent.drivers.nft import whole
from agent.render import render_file, render_ruleset
from tests.golden.ingress_cases import Case, cases, told

GOLDEN = Path(__file__).parents[1] / "golden" / "ingress"


def generated(case: Case) -> dict[str, str]:
    """File name → text."""
    plan = case.plan
    files = {file.path.replace("/", "-"): file.text for file in map(render_file, plan.files)}
    return {"router.nft": whole(render_ruleset(plan.nft)), "plan.txt": told(plan), **files}


@pytest.mark.parametrize("name", sorted(cases()))
def test_the_generated_files_are_those_of_the_golden_directory(name: str) -> None:
    found, directory = generated(cases()[name]), GOLDEN / name
    if os.environ.get("GOLDEN") == "write":
        directory.mkdir(parents=True, exist_ok=True)
        for file, text in found.items():
            (directory / file).write_text(text)
    assert {path.name for path in directory.iterdir()} == set(found)
    for file, text in found.items():
        assert text == (directory / file).read_text(), f"{name}/{file}"


def test_no_case_is_left_behind() -> None:
    assert {path.name for path in GOLDEN.iterdir()} == set(cases())
