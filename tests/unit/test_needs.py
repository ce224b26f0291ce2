"""What a container lacks is said with the compose line that mends it."""

from __future__ import annotations

from pathlib import Path

import pytest

from agent.drivers.needs import missing


def proc(directory: Path, capabilities: int = 0x1FFFFFFFFFF, mode: int = 0o644) -> Path:
    (directory / "self").mkdir()
    (directory / "self/status").write_text(f"Name:\tx\nCapEff:\t{capabilities:016x}\n")
    (directory / "sys/net/ipv4").mkdir(parents=True)
    (directory / "sys/net/ipv4/ip_forward").write_text("1\n")
    (directory / "sys/net/ipv4/ip_forward").chmod(mode)
    return directory


def test_a_container_that_has_all_is_told_nothing(tmp_path: Path) -> None:
    device = tmp_path / "ppp"
    device.touch()
    assert missing(ppp=True, proc=proc(tmp_path), device=device) == ()


def test_lacking_capabilities_are_named_with_the_line(tmp_path: Path) -> None:
    problems = missing(ppp=False, proc=proc(tmp_path, 0x1FFFFFFFFFF & ~(1 << 12) & ~(1 << 7)))
    assert [problem.hint for problem in problems] == ["in compose: `cap_add: [NET_ADMIN, SETUID]`"]


def test_sysctls_that_cannot_be_written_are_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("agent.drivers.needs.os.access", lambda *_: False)
    (problem,) = missing(ppp=False, proc=proc(tmp_path))
    assert "systempaths=unconfined" in problem.hint


def test_ppp_is_asked_for_only_where_it_is_dialled(tmp_path: Path) -> None:
    assert missing(ppp=False, proc=proc(tmp_path), device=tmp_path / "ppp") == ()
    (problem,) = missing(ppp=True, proc=tmp_path, device=tmp_path / "ppp")
    assert "/dev/ppp" in problem.hint
    assert "not here" in problem.message
