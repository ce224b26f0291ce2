"""The report for people, the keys without effect, the digest."""

from __future__ import annotations

from pathlib import Path

import pytest

from agent.config import check, config_digest, load, render_findings, unused, unused_keys
from tests.unit.config.kit import GOOD, config, report, settings


def test_a_good_file() -> None:
    found = report(config())
    assert found.ok
    assert found.settings is not None
    text = found.render_text(200)
    assert text.endswith("router.yaml: configuration OK (2 networks, 2 uplinks, 2 hosts)\n")
    assert text.count("\n") == 1


def test_errors_warnings_and_how_they_look(tmp_path: Path) -> None:
    path = tmp_path / "router.yaml"
    path.write_text(
        config(site="site: { name: a, prefix: '2600::/48' }", rules="rules: [ { from: x, to: y, action: drop } ]")
    )
    found = check(path, {})
    assert (len(found.errors), len(found.warnings), found.settings) == (2, 1, None)
    text = found.render_text(72)
    assert (
        f"error: {path}:10:18  rules[0].from[0]\n    there is no network or host `x`\n    To mend: write one of home,"
        in text
    )
    assert "warning: " in text
    assert text.endswith("2 errors, 1 warning\n")


@pytest.mark.parametrize("width", [10, 40, 72, 200])
def test_it_fits_the_terminal(tmp_path: Path, width: int) -> None:
    path = tmp_path / "r"
    path.write_text(config(networks="networks: { home: { vlna: 5000 }, b: { ipv4: 10.1 } }"))
    for line in check(path, {}).render_text(width).splitlines():
        # Places and single words stay whole: they are copied.
        assert len(line) <= max(width, 40) or str(path) in line or len(line.split()) <= 2


def test_findings_alone() -> None:
    found = report("a: [")
    assert render_findings(found.errors).startswith("error: ")
    assert "To mend: write the value, close the bracket, or quote" in render_findings(found.errors)


def test_no_other_file_is_opened(tmp_path: Path) -> None:
    """A secret that is a FIFO would block whoever opens it; these do not exist at all."""
    path = tmp_path / "router.yaml"
    path.write_text(config(bus="bus: { host: a, password_file: /nonexistent/p, users_file: /nonexistent/u }"))
    assert check(path, {}).ok


def test_paths_are_relative_to_the_file(tmp_path: Path) -> None:
    path = tmp_path / "router.yaml"
    path.write_text(config(bus="bus: { host: a, password_file: secrets/p, users_file: /abs/u }"))
    found = load(path, {})
    assert found.base_dir == tmp_path
    assert found.path(found.bus.password_file) == tmp_path / "secrets/p"
    assert found.bus.users_file is not None
    assert found.path(found.bus.users_file) == Path("/abs/u")


def test_a_key_without_effect_is_found_by_its_pattern(monkeypatch: pytest.MonkeyPatch) -> None:
    pattern = ("networks", "*", "dhcp6", "mode")
    monkeypatch.setattr(unused, "NOT_YET", {pattern: "nothing comes of it"})
    networks = "networks: { home: { subnet: 1, dhcp6: { mode: stateless } }, dmz: { transit: true } }"
    (key,) = unused_keys(settings(hosts="", networks=networks))
    assert (key.path, key.reason) == (("networks", "home", "dhcp6", "mode"), "nothing comes of it")


def test_defaults_written_out_are_not_complained_of() -> None:
    networks = "networks: { home: { subnet: 1, dhcp6: { mode: none }, addressing: internal }, dmz: { transit: true } }"
    found = settings(networks=networks, hosts="", dns="dns: { ddns: false }", docker_hosts="docker_hosts: {}")
    assert unused_keys(found) == ()


def test_the_report_shows_them_with_their_lines(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(unused, "NOT_YET", {("dns", "ddns"): "nothing comes of it"})
    found = report(config(dns="dns:\n  ddns: true"))
    assert [(note.line, note.key) for note in found.not_yet] == [(11, "dns.ddns")]
    assert "Accepted, but without effect in this version:\n  line 11: dns.ddns: " in found.render_text()


def test_the_digest_is_of_the_meaning() -> None:
    base = config_digest(settings())
    assert len(base) == 64
    rewritten = GOOD["networks"].replace("subnet: 0x10", "priority: 100, subnet: 16").replace("10.10.0.0", "10.10.0.1")
    assert config_digest(settings(networks=rewritten)) == base
    assert config_digest(settings(dns="dns: { ddns: false } # a comment")) == base
    assert (
        config_digest(settings(bus=GOOD["bus"].replace("10.98.0.1", "elsewhere"), log="log: { level: debug }")) == base
    )


@pytest.mark.parametrize(
    "sections",
    [
        {"dns": "dns: { ddns: true }"},
        {"hosts": GOOD["hosts"].replace("::5", "::7")},
        {"uplinks": GOOD["uplinks"].replace("priority: 20", "priority: 21")},
        {"rules": "rules: [ { from: home, to: any, tcp: 80, action: drop } ]"},
        {"forwards": "forwards: { a: { tcp: 80, to: nas } }"},
    ],
)
def test_the_digest_changes_with_the_meaning(sections: dict[str, str]) -> None:
    assert config_digest(settings(None, **sections)) != config_digest(settings())


def test_the_digest_knows_the_order_of_the_rules() -> None:
    rules = ["{ from: home, to: any, action: drop }", "{ from: home, to: dmz, action: accept }"]
    one, other = (settings(rules=f"rules: [ {', '.join(order)} ]") for order in (rules, rules[::-1]))
    assert config_digest(one) != config_digest(other)
