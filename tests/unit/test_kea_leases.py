from __future__ import annotations

import os
import subprocess
from pathlib import Path
from typing import Any

import pytest

from agent.drivers.kea_leases import KeaLeases
from agent.leases import document, leases_text
from agent.model import Delegated
from tests.unit.config.kit import settings
from tests.unit.test_config_networks import networks

HEAD4 = "address,hwaddr,client_id,valid_lifetime,expire,subnet_id,fqdn_fwd,fqdn_rev,hostname,state,user_context\n"
HEAD6 = (
    "address,duid,valid_lifetime,expire,subnet_id,pref_lifetime,lease_type,iaid,prefix_len,fqdn_fwd,fqdn_rev,hostname,"
    "hwaddr,state,user_context,hwtype,hwaddr_source\n"
)
HOOK = Path(__file__).parents[2] / "dinit.d" / "firewall" / "kea-hook"


class Kea:
    """Lease files, and a clock."""

    def __init__(self, directory: Path) -> None:
        self.directory, self.now = directory, 1000.0
        self.leases = KeaLeases(directory, lambda: self.now)

    def four(self, address: str, *, until: int = 2000, state: int = 0, name: str = "", valid: int = 600) -> str:
        return f"{address},02:00:00:00:00:01,,{valid},{until},1,0,0,{name},{state},\n"

    def prefix(self, address: str, duid: str = "00:01", *, until: int = 2000, valid: int = 600) -> str:
        return f"{address},{duid},{valid},{until},17,600,2,1,60,0,0,,02:00:00:00:00:02,0,,1,0\n"

    def write(self, name: str, *rows: str, head: str = HEAD4, add: bool = False) -> None:
        path = self.directory / name
        if add:
            with path.open("a") as stream:
                stream.write("".join(rows))
        else:
            path.write_text(head + "".join(rows))

    def addresses(self) -> list[str]:
        return [str(binding.leased) for binding in self.leases.look().bindings]

    def errors(self) -> list[str]:
        return [message for message, _ in self.leases.look().errors]


@pytest.fixture
def kea(tmp_path: Path) -> Kea:
    return Kea(tmp_path)


def test_no_file_no_lease_and_no_complaint(kea: Kea) -> None:
    said = kea.leases.look()
    assert (said.bindings, said.delegated, said.errors) == ((), (), ())
    assert kea.leases.look() is said


def test_the_last_line_of_an_address_holds(kea: Kea) -> None:
    kea.write("dhcp4.leases", kea.four("10.0.0.9", name="old."), kea.four("10.0.0.10"))
    kea.write("dhcp4.leases", kea.four("10.0.0.9", name="a&#x2cb.home.arpa."), add=True)
    found = kea.leases.look().bindings
    assert [(str(b.leased), b.mac, b.hostname) for b in found] == [
        ("10.0.0.9", "02:00:00:00:00:01", "a,b.home.arpa"),
        ("10.0.0.10", "02:00:00:00:00:01", ""),
    ]


@pytest.mark.parametrize("end", [{"state": 1}, {"state": 2}, {"valid": 0}])
def test_what_is_declined_reclaimed_or_deleted_is_nobodys(kea: Kea, end: dict[str, Any]) -> None:
    kea.write("dhcp4.leases", kea.four("10.0.0.9"))
    assert kea.addresses() == ["10.0.0.9"]
    kea.write("dhcp4.leases", kea.four("10.0.0.9", **end), add=True)
    assert kea.addresses() == []


def test_a_lease_ends_by_time_without_a_line(kea: Kea) -> None:
    kea.write("dhcp4.leases", kea.four("10.0.0.9", until=1005), kea.four("10.0.0.10", until=1, valid=0xFFFFFFFF))
    before = kea.leases.look()
    kea.now = 1004.9
    assert kea.leases.look() is before
    kea.now = 1005
    assert kea.addresses() == ["10.0.0.10"]
    assert [str(lease.binding.leased) for lease in kea.leases.held()] == ["10.0.0.10"]


def test_a_renewal_is_no_news(kea: Kea) -> None:
    kea.write("dhcp4.leases", kea.four("10.0.0.9"))
    before = kea.leases.look()
    kea.write("dhcp4.leases", kea.four("10.0.0.9", until=3000), add=True)
    assert kea.leases.look() is before
    assert [lease.until for lease in kea.leases.held()] == [3000]


def test_a_line_that_is_being_written_is_read_when_it_is_whole(kea: Kea) -> None:
    row = kea.four("10.0.0.9")
    kea.write("dhcp4.leases", row[:20])
    assert kea.addresses() == []
    kea.write("dhcp4.leases", row[20:], add=True)
    assert kea.addresses() == ["10.0.0.9"]
    assert kea.errors() == []


def test_the_parts_of_a_file_that_is_being_cleaned_up(kea: Kea) -> None:
    kea.write("dhcp4.leases", kea.four("10.0.0.9"), kea.four("10.0.0.10"))
    assert len(kea.addresses()) == 2
    (kea.directory / "dhcp4.leases").rename(kea.directory / "dhcp4.leases.1")
    kea.write("dhcp4.leases.2", kea.four("10.0.0.8"), kea.four("10.0.0.9", until=1))
    kea.write("dhcp4.leases", kea.four("10.0.0.10", valid=0))
    assert kea.addresses() == ["10.0.0.8", "10.0.0.9"]
    kea.write("dhcp4.leases.completed", kea.four("10.0.0.7"))
    kea.write("dhcp4.leases.new", kea.four("10.0.0.11"))
    (kea.directory / "dhcp4.leases.new").replace(kea.directory / "dhcp4.leases")
    assert kea.addresses() == ["10.0.0.7", "10.0.0.11"]


def test_a_broken_line_is_said_and_costs_that_line(kea: Kea) -> None:
    kea.write("dhcp4.leases", kea.four("10.0.0.9"), "10.0.0.x,half\n", kea.four("10.0.0.10"), "\n")
    assert kea.addresses() == ["10.0.0.9", "10.0.0.10"]
    assert kea.errors() == ["dhcp4.leases: line 3 is no lease"]
    kea.write("dhcp4.leases.new", kea.four("10.0.0.9"))
    (kea.directory / "dhcp4.leases.new").replace(kea.directory / "dhcp4.leases")
    assert kea.errors() == []


@pytest.mark.parametrize("content", ["\0\0\0\0\nmore\n", "not a lease file\n"])
def test_a_broken_file_is_said_with_its_mend_and_what_was_known_stays(kea: Kea, content: str) -> None:
    kea.write("dhcp6.leases", kea.prefix("fd00:1::"), head=HEAD6)
    assert kea.addresses() == ["fd00:1::/60"]
    (kea.directory / "broken").write_text(content)
    (kea.directory / "broken").replace(kea.directory / "dhcp6.leases")
    said = kea.leases.look()
    assert [str(binding.leased) for binding in said.bindings] == ["fd00:1::/60"]
    ((message, hint),) = said.errors
    assert message.startswith("dhcp6.leases is no lease file of Kea")
    assert "dinitctl restart kea-dhcp6" in hint
    assert kea.leases.look() is said
    kea.write("dhcp6.leases", head=HEAD6)
    assert kea.errors() == kea.addresses() == []


def test_a_file_that_cannot_be_read_keeps_what_was_known(kea: Kea) -> None:
    kea.write("dhcp4.leases", kea.four("10.0.0.9"))
    assert kea.addresses() == ["10.0.0.9"]
    (kea.directory / "dhcp4.leases").unlink()
    (kea.directory / "dhcp4.leases").mkdir()
    assert kea.addresses() == ["10.0.0.9"]
    assert kea.errors() == ["dhcp4.leases cannot be read: Is a directory"]


def test_a_full_disk_is_said(kea: Kea, monkeypatch: pytest.MonkeyPatch) -> None:
    real = os.statvfs(kea.directory)
    monkeypatch.setattr("os.statvfs", lambda _: os.statvfs_result((*real[:3], 0, 0, *real[5:])))
    assert "is full: new leases are not kept" in kea.errors()[0]
    monkeypatch.undo()
    assert kea.errors() == []


def run_hook(directory: Path, moment: str, **variables: str) -> None:
    script = HOOK.read_text().replace("/var/lib/router/kea", str(directory))
    subprocess.run(["/bin/sh", "-c", script, "kea-hook", moment], env=variables, check=True)


def lease(number: int, kind: str, address: str, length: str, duid: str) -> dict[str, str]:
    names = {"TYPE": kind, "ADDRESS": address, "PREFIX_LEN": length, "DUID": duid}
    return {f"LEASES6_AT{number}_{name}": value for name, value in names.items()}


def test_the_hook_keeps_by_which_address_a_prefix_is_reached(kea: Kea) -> None:
    both = lease(0, "IA_NA", "fd00::1:0", "128", "00:01") | lease(1, "IA_PD", "fd00:1::", "60", "00:01")
    told = {"QUERY6_REMOTE_ADDR": "fe80::7", "LEASES6_SIZE": "2", **both}
    run_hook(kea.directory, "leases6_committed", **told)
    run_hook(kea.directory, "lease6_expire", **told)
    assert [path.name for path in (kea.directory / "delegating").iterdir()] == ["fd00:1::_60"]
    kea.write("dhcp6.leases", kea.prefix("fd00:1::"), kea.prefix("fd00:1:0:10::", "00:02"), head=HEAD6)
    first, second = kea.leases.look().delegated
    assert str(first.router) == "fe80::7"
    assert second.router is None
    # Another client that is given the prefix later is not reached by the address of the one before.
    kea.write("dhcp6.leases", kea.prefix("fd00:1::", "00:03"), head=HEAD6, add=True)
    assert kea.leases.look().delegated[0] == Delegated(first.prefix)
    run_hook(kea.directory, "leases6_committed", **told | {"QUERY6_REMOTE_ADDR": "2001:db8::1"})
    assert kea.leases.look().delegated[0].router is None, "a relay's"
    assert kea.errors() == []
    kea.now += 11
    assert any("fd00:1::/60 is delegated, and nobody knows" in error for error in kea.errors())


def test_leases_as_a_document_and_a_table(kea: Kea) -> None:
    kea.write("dhcp4.leases", kea.four("10.10.0.9", name="a-very-long-name-of-a-host.home.arpa."))
    kea.write("dhcp4.leases", kea.four("10.66.0.9"), kea.four("10.10.0.8", valid=0xFFFFFFFF), add=True)
    duid = ":".join(["00"] * 18)
    kea.write("dhcp6.leases", kea.prefix("fd4b:9ca2:1d70:ff00::", duid), head=HEAD6)
    kea.leases.look()
    found = settings(
        hosts="",
        networks=networks("home: { ipv4: 10.10.0.0/24, subnet: 0x10, dhcp6: { delegate: 60 } }", "lab: { subnet: 1 }"),
    )
    shown = document(found, kea.leases.held(), 1000.0)
    assert list(shown["networks"]) == ["home"]  # type: ignore[call-overload]
    (first, second, third) = shown["networks"]["home"]  # type: ignore[index]
    assert (first["address"], first["left"], second["left"]) == ("10.10.0.8", None, 1000)
    assert third["prefix"] == "fd4b:9ca2:1d70:ff00::/60"
    text = leases_text(shown, 80)
    assert max(map(len, text.splitlines())) <= 80
    assert "for ever" in text
    assert text.count("02:00:00:00:00:01") == 2
    assert "17 min" in text
    assert leases_text(document(found, (), 0.0, "lab"), 80) == "no leases\n"
