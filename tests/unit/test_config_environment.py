"""Overrides by ROUTER_*: `bus` and `log` only, and no name without effect."""

from __future__ import annotations

import pytest

from agent.config import ConfigError
from agent.config.environment import OWN, overridable
from tests.unit.config.kit import config, report, settings


def test_overrides_win_over_the_file() -> None:
    environ = {
        "ROUTER_BUS__HOST": "mqtt.example",
        "ROUTER_BUS__PORT": "8883",
        "ROUTER_BUS__TLS__CA_FILE": "/ca",
        "ROUTER_BUS__TLS__CERT_FILE": "/c",
        "ROUTER_BUS__TLS__KEY_FILE": "/k",
        "ROUTER_LOG__LEVEL": "debug",
    }
    found = settings(environ, log="log: { level: error, format: json }")
    assert found.bus.tls is not None
    assert (found.bus.host, found.bus.port, str(found.bus.tls.ca_file)) == ("mqtt.example", 8883, "/ca")
    assert (found.log.level, found.log.format) == ("debug", "json")


def test_the_agents_own_variables_and_those_of_others_are_left_alone() -> None:
    assert settings(dict.fromkeys(OWN, "x") | {"PATH": "/bin", "ROUTERS": "x"}).bus.host == "10.98.0.1"


@pytest.mark.parametrize(
    ("name", "mend"),
    [
        ("ROUTER_BSU__PORT", "write ROUTER_BUS__PORT"),
        ("ROUTER_BUS__PROT", "write ROUTER_BUS__PORT"),
        ("ROUTER_BUS_PORT", "write ROUTER_BUS__PORT"),
        ("ROUTER_NODES", "write ROUTER_NODE"),
        ("ROUTER_BUS", "write ROUTER_BUS__PORT"),
        ("ROUTER_SITE__DOMAIN", "unset it; only ROUTER_BUS__… and ROUTER_LOG__… override keys"),
    ],
)
def test_names_that_nothing_reads(name: str, mend: str) -> None:
    (found,) = report(config(), {name: "x"}).errors
    assert (found.file, found.line, found.key) == ("environment", 0, name)
    assert found.message == "a variable that nothing reads"
    assert found.mend == mend


def test_a_wrong_value_names_its_variable() -> None:
    (found,) = report(config(), {"ROUTER_BUS__PORT": "many"}).errors
    assert (found.place, found.key) == ("environment", "ROUTER_BUS__PORT")
    assert "`many` is not a port" in found.message


def test_wrong_names_are_told_beside_the_errors_of_the_file() -> None:
    for text in ("a: [", config(site="site: {}")):
        keys = {found.key for found in report(text, {"ROUTER_BSU__PORT": "1"}).errors}
        assert "ROUTER_BSU__PORT" in keys
        assert len(keys) > 1


def test_a_cross_reference_may_blame_a_variable() -> None:
    (found,) = report(config(), {"ROUTER_BUS__PORT": "8883"}).errors
    assert (found.file, found.key) == ("environment", "ROUTER_BUS__PORT")


def test_a_section_that_is_no_mapping_stays_the_files_error() -> None:
    (found,) = report(config(bus="bus: 5"), {"ROUTER_BUS__PORT": "8883"}).errors
    assert (found.line, found.key) == (2, "bus")


def test_every_scalar_of_the_two_sections_has_its_variable() -> None:
    assert set(overridable()) == {
        "ROUTER_BUS__HOST",
        "ROUTER_BUS__PORT",
        "ROUTER_BUS__BROKER",
        "ROUTER_BUS__TLS__CA_FILE",
        "ROUTER_BUS__TLS__CERT_FILE",
        "ROUTER_BUS__TLS__KEY_FILE",
        "ROUTER_BUS__PASSWORD_FILE",
        "ROUTER_BUS__USERS_FILE",
        "ROUTER_LOG__LEVEL",
        "ROUTER_LOG__FORMAT",
    }


def test_the_process_environment_is_not_read(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ROUTER_BUS__HOST", "elsewhere")
    monkeypatch.setenv("BUS", "{}")
    monkeypatch.setenv("SITE", "{}")
    assert settings().bus.host == "10.98.0.1"


def test_load_raises_what_check_reports() -> None:
    with pytest.raises(ConfigError, match=r"environment: ROUTER_X: a variable that nothing reads; to mend: unset it"):
        settings({"ROUTER_X": "1"})
