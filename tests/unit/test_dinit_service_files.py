"""Every service file of dinit.d is understood, complete, and names what exists."""

from __future__ import annotations

import re
import shutil
import subprocess

import pytest

from tests.lab.service_file import Service, ServiceFileError, load, parse
from tests.lab.services_of import HELPERS, ROOT, service_files

ROLES = ("ingress", "firewall")
DAEMONS = {
    "ingress": {"dhcpcd", "pppd", "wireguard"},
    "firewall": {"radvd", "kea-dhcp4", "kea-dhcp6", "kea-dhcp-ddns", "named", "mosquitto", "ulogd2"},
}


def _services(role: str) -> dict[str, Service]:
    return {name: load(path.parent, name) for name, path in service_files(role).items()}


@pytest.mark.parametrize("role", ROLES)
def test_every_file_is_understood_and_every_dependency_exists(role: str) -> None:
    services = _services(role)
    assert set(services) == {"boot", "closed", "state", "router-agent"} | DAEMONS[role]
    for service in services.values():
        assert set(service.dependencies) <= set(services), service.name


@pytest.mark.parametrize("role", ROLES)
def test_boot_starts_the_agent_behind_the_closed_ruleset_and_no_daemon(role: str) -> None:
    services = _services(role)
    started: set[str] = set()
    waiting = ["boot"]
    while waiting:
        name = waiting.pop()
        started.add(name)
        waiting += services[name].dependencies
    assert started == {"boot", "closed", "state", "router-agent"}
    assert "closed" in services["router-agent"].depends_on


@pytest.mark.parametrize("role", ROLES)
def test_whatever_runs_is_restarted_for_ever_and_heard(role: str) -> None:
    for service in _services(role).values():
        if service.type == "process":
            assert service.restart, service.name
            assert service.smooth_recovery, service.name
            assert service.restart_limit_count == 0, service.name
            assert service.restart_delay >= 0.5, service.name
        if service.type != "internal":
            assert "shares-console" in service.options, service.name
            assert service.command[0].startswith("/"), "dinit-check asks for absolute paths"


@pytest.mark.parametrize("role", ROLES)
def test_each_file_says_why(role: str) -> None:
    for path in service_files(role).values():
        assert path.read_text().startswith("# "), path


@pytest.mark.parametrize("role", ROLES)
def test_commands_name_no_path_that_the_image_does_not_have(role: str) -> None:
    for service in _services(role).values():
        for path in re.findall(r"(?<![\w/])/[\w./-]+", " ".join(service.command)):
            helper = path.removeprefix("/usr/lib/router/")
            known = path.startswith(
                ("/run/", "/var/lib/router", "/bin/sh", "/usr/bin/", "/usr/sbin/", "/dev/null", "/dev/stderr")
            )
            assert known or helper in HELPERS, f"{service.name}: {path}"


@pytest.mark.parametrize("name", sorted(HELPERS))
def test_helpers_are_where_they_belong(name: str) -> None:
    assert (ROOT / HELPERS[name] / name).is_file()


def test_the_hook_is_an_executable_posix_script() -> None:
    hook = ROOT / "ingress" / "dhcpcd-hook"
    assert hook.stat().st_mode & 0o111
    dash = shutil.which("dash") or "sh"
    subprocess.run([dash, "-n", str(hook)], check=True)


GOOD = "type = process\ncommand = sleep 1\nrestart = no\n"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("type = process\nrestart = no\n", "x: command is missing"),
        ("command = true\nrestart = no\n", "x: type is missing"),
        ("type = process\ncommand = true\n", "x: restart is missing"),
        ("type = demon\n", "x:1: type: unknown value 'demon'"),
        (GOOD + "restart-dealy = 1\n", "x:4: restart-dealy: no such setting"),
        (GOOD + "restart-delay = soon\n", "x:4: restart-delay: could not convert"),
        (GOOD + "restart-delay = -1\n", "x:4: restart-delay: a negative number"),
        (GOOD + "smooth-recovery = maybe\n", "x:4: smooth-recovery: 'maybe' is neither yes nor no"),
        (GOOD + "depends-on = a\n", "x:4: depends-on: takes `:`"),
        (GOOD + "command: true\n", "x:4: command: takes `=`"),
        (GOOD + "command = true\n", "x:4: command: was set in line 2"),
        (GOOD + "depends-on: a b\n", "x:4: depends-on: one value, not 2"),
        (GOOD + "options: shares-consoles\n", "x:4: options: unknown option shares-consoles"),
        (GOOD + "ready-notification = pipefd:3\n", "x:4: ready-notification: only pipevar:NAME"),
        (GOOD + "nonsense\n", "x:4: not a setting: nonsense"),
        ('type = process\ncommand = sh "-c\n', "x:2: command: a quote is not closed"),
        ("type = process\ncommand = echo $HOME\n", "x:2: command: a variable"),
        ("type = internal\nrestart = no\ncommand = true\n", "x:3: command does nothing in a service of type internal"),
    ],
)
def test_a_wrong_file_is_refused_with_its_line(text: str, message: str) -> None:
    with pytest.raises(ServiceFileError, match=re.escape(message)):
        parse("x", text)


def test_values_are_split_as_dinit_splits_them() -> None:
    text = 'type = scripted\nrestart = no # never\ncommand = sh -c "a  b # c" d\\ e f"g h"#i # comment\n'
    assert parse("x", text).command == ["sh", "-c", "a  b # c", "d e", "fg h#i"]
