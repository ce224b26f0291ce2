"""`routerctl check` looks at the files of lists and warns, with the line that names them."""

from __future__ import annotations

from pathlib import Path

import pytest

from agent.config import check
from agent.list_files import complaints

CONFIG = """
site: { name: home, prefix: "fd00:1:2::/48" }
bus: { host: 10.98.0.1, broker: external, password_file: p }
networks:
  home: { subnet: 0x10, ipv4: 10.10.0.0/24 }
lists:
  blocked: { file: blocked.txt }
rules:
  - { from: blocked, to: firewall, action: drop }
"""


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (None, "cannot be read: no such file"),
        ("# nothing\n", "is empty"),
        ("192.0.2.1\nfoo\n", "blocked.txt:2: `foo` is not an address"),
    ],
)
def test_a_file_that_is_no_list_is_a_warning(tmp_path: Path, content: str | None, said: str) -> None:
    path = tmp_path / "router.yaml"
    path.write_text(CONFIG)
    if content is not None:
        (tmp_path / "blocked.txt").write_text(content)
    report = check(path, {}, complaints)
    assert report.ok
    (warning,) = report.warnings
    assert (warning.line, warning.key, warning.level) == (7, "lists.blocked.file", "warning")
    assert said in warning.message
    assert warning.mend


def test_a_good_file_is_no_matter(tmp_path: Path) -> None:
    path = tmp_path / "router.yaml"
    path.write_text(CONFIG)
    (tmp_path / "blocked.txt").write_text("192.0.2.0/24\n")
    assert check(path, {}, complaints).warnings == ()
