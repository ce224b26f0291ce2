"""The configurations in docs/addresses.md are such."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from agent.config.dhcp_options import _KNOWN
from tests.unit.config.kit import report

TEXT = (Path(__file__).parents[2] / "docs" / "addresses.md").read_text()
BLOCKS = [block for block in re.findall(r"```yaml\n(.*?)```", TEXT, re.DOTALL) if block.startswith("networks:")]
BASE = """site: { name: home, prefix: "fd4b:9ca2:1d70::/48" }
bus: { host: 10.98.0.1, password_file: p, users_file: u }
"""


@pytest.mark.parametrize("block", BLOCKS)
def test_a_configuration_in_the_text_has_no_error(block: str) -> None:
    assert not report(BASE + block).errors, report(BASE + block).render_text()


def test_the_table_of_options_is_complete() -> None:
    rows = re.findall(r"^\| (`[a-z0-9-]+`(?:, `[a-z0-9-]+`)*) \| ([0-9, ]+) \|", TEXT, re.MULTILINE)
    told = {
        name.strip("` "): int(code)
        for names, codes in rows
        for name, code in zip(names.split(","), codes.split(","), strict=True)
    }
    assert told == {name: code for name, (code, _) in _KNOWN.items()}
