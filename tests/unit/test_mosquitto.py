"""Our own broker's files: mosquitto.conf, ACL and hashed passwords, and the secrets they come from."""

from __future__ import annotations

import stat
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agent.config import load
from agent.desired.broker import BrokerTls, MosquittoAcl, MosquittoConfig
from agent.drivers.passwords import (
    PasswordsError,
    hash_password,
    parse_users,
    verify_password,
    write_passwords,
)
from agent.plan.broker import bus_room, plan_broker
from agent.render.mosquitto import render_mosquitto, render_mosquitto_acl
from agent.secrets import SecretsError, make_secrets

# Made by mosquitto_passwd 2.0.11: `mosquitto_passwd -c -b FILE a b`.
BY_MOSQUITTO = (
    "$7$101$b87JvN2Rarr0w9h8$xBA16w2xiNBkg0DV7JEQFLRptkbKwuS9PnA7PlBl8xtLJW4hkcqb5oNpG/fbShRtS2yXKhnqgIdUTqConhXG4w=="
)


def test_the_broker_listens_on_the_backstage_address_alone_and_knows_its_users() -> None:
    file = render_mosquitto(MosquittoConfig("10.98.0.1", 1883))
    lines = file.text.splitlines()
    assert [line for line in lines if line.startswith("listener")] == ["listener 1883 10.98.0.1"]
    assert {"allow_anonymous false", "user mosquitto", "set_tcp_nodelay true", "log_dest stdout"} <= set(lines)
    assert "password_file /run/router/etc/mosquitto/passwd" in lines
    assert "persistence_location /var/lib/router/mosquitto/" in lines
    assert not any(line.startswith(("certfile", "keyfile")) for line in lines)
    assert (file.path, file.service, file.reload) == ("mosquitto/mosquitto.conf", "mosquitto", "restart")


def test_tls_belongs_to_the_listener() -> None:
    file = render_mosquitto(MosquittoConfig("10.98.0.1", 8883, tls=BrokerTls("/s/cert.pem", "/s/key.pem"), user="root"))
    lines = file.text.splitlines()
    start = lines.index("listener 8883 10.98.0.1")
    assert lines[start + 1 : start + 4] == ["certfile /s/cert.pem", "keyfile /s/key.pem", "tls_version tlsv1.2"]
    assert "user root" in lines


def test_a_user_writes_below_its_own_name_alone() -> None:
    file = render_mosquitto_acl(MosquittoAcl("home", ("firewall", "kpn")))
    assert [line for line in file.text.splitlines() if not line.startswith("#")] == [
        "user observer",
        "topic deny backstage/1/home/observer/#",
        "topic read backstage/1/home/#",
        "",
        "user firewall",
        "topic readwrite backstage/1/home/firewall/#",
        "topic read backstage/1/home/#",
        "",
        "user kpn",
        "topic readwrite backstage/1/home/kpn/#",
        "topic read backstage/1/home/#",
    ]
    assert (file.path, file.reload) == ("mosquitto/acl", "HUP")


def test_a_docker_host_has_three_topics_and_takes_nobodys_connection() -> None:
    lines = render_mosquitto_acl(MosquittoAcl("home", ("firewall",), hosts=True)).text.splitlines()
    assert [line for line in lines if line.startswith("pattern")] == [
        "pattern readwrite backstage/1/home/%u/state",
        "pattern readwrite backstage/1/home/%u/info",
        "pattern readwrite backstage/1/home/%u/containers",
    ]
    config = MosquittoConfig("10.98.0.1", 8883, connections=256, strangers=True)
    lines = render_mosquitto(config).text.splitlines()
    # An option of the listener: it stands below it.
    assert lines.index("use_username_as_clientid true") > lines.index("listener 8883 10.98.0.1")
    assert "max_connections 256" in lines
    assert "use_username_as_clientid true" not in render_mosquitto(MosquittoConfig("10.98.0.1", 1883)).text


def test_the_broker_has_room_for_every_docker_host_and_seldom_restarts_for_one_more() -> None:
    settings = load(Path(__file__).parents[2] / "compose/router-hoster.yaml", {})
    config, acl = plan_broker(settings)
    assert isinstance(config, MosquittoConfig)
    assert (config.connections, config.strangers) == (128, True)
    assert acl == MosquittoAcl("rack", ("firewall", "hetzner"), hosts=True)
    vm1 = settings.docker_hosts["vm1"]
    many = settings.model_copy(update={"docker_hosts": {f"vm{n}": vm1 for n in range(4094)}})
    config, _ = plan_broker(many)
    assert isinstance(config, MosquittoConfig)
    assert config.connections == 16384
    # Two policies' worth of strangers, and the nodes of the backstage still have room.
    assert [2 * (bus_room(s) or 0) + 32 for s in (settings, many)] == [128, 16384]
    home, _ = plan_broker(load(Path(__file__).parents[2] / "compose/router-home.yaml", {}))
    assert isinstance(home, MosquittoConfig)
    assert (home.connections, home.strangers) == (64, False)
    assert bus_room(load(Path(__file__).parents[2] / "compose/router-home.yaml", {})) is None


def test_the_hash_is_mosquittos() -> None:
    assert verify_password("b", BY_MOSQUITTO)
    assert not verify_password("c", BY_MOSQUITTO)


@settings(deadline=None, max_examples=20)
@given(st.text(min_size=1, max_size=30), st.text(min_size=1, max_size=30))
def test_a_hash_is_of_one_password(one: str, other: str) -> None:
    hashed = hash_password(one, b"123456789012", 10)
    assert verify_password(one, hashed)
    assert verify_password(other, hashed) == (one == other)


@pytest.mark.parametrize(
    "hashed", ["", "plain", "$6$a$b$c", "$7$x$AAAA$AAAA", "$7$99999999$AAAA$AAAA", "$7$1$!$A", "$7$-1$AAAA$A"]
)
def test_what_is_no_hash_of_ours_verifies_nothing(hashed: str) -> None:
    assert not verify_password("b", hashed)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("kpn\n", r"users:1: not a line of `user:password`"),
        ("# ours\nkpn:\n", r"users:2: not a line"),
        ("a b:c\n", r"users:1: not a line"),
        ("kpn:one\n\nkpn:two\n", r"users:3: user kpn a second time"),
    ],
)
def test_a_users_file_that_is_wrong_names_the_line_and_no_password(text: str, message: str) -> None:
    with pytest.raises(PasswordsError, match=message) as caught:
        parse_users(text, "users")
    assert "one" not in str(caught.value)
    assert caught.value.hint


def test_the_password_file_changes_with_the_passwords_only(tmp_path: Path) -> None:
    users, target = tmp_path / "users", tmp_path / "etc" / "passwd"
    users.write_text("# ours\nodido:two:with colon\nkpn:one\n")
    assert write_passwords(users, target)
    first = target.read_text()
    assert [line.split(":")[0] for line in first.splitlines()] == ["kpn", "odido"]
    assert verify_password("two:with colon", first.splitlines()[1].split(":", 1)[1])
    assert "one" not in first
    assert not write_passwords(users, target)
    users.write_text("kpn:one\nodido:three\nvpn:four\n")
    assert write_passwords(users, target)
    second = target.read_text()
    assert second.splitlines()[0] == first.splitlines()[0]
    assert second.splitlines()[1] != first.splitlines()[1]
    users.write_text("kpn:one\n")
    assert write_passwords(users, target)
    assert target.read_text() == first.splitlines()[0] + "\n"
    assert stat.S_IMODE(target.stat().st_mode) in {0o600, 0o640}
    assert [path.name for path in target.parent.iterdir()] == ["passwd"]


def test_the_password_file_is_its_owners_where_there_is_no_mosquitto(tmp_path: Path) -> None:
    (tmp_path / "users").write_text("kpn:one\n")
    assert write_passwords(tmp_path / "users", tmp_path / "passwd", group="nobody-has-this-group")
    assert stat.S_IMODE((tmp_path / "passwd").stat().st_mode) == 0o600


def test_no_users_file_is_a_clear_error(tmp_path: Path) -> None:
    with pytest.raises(PasswordsError, match="nothing: No such file or directory") as caught:
        write_passwords(tmp_path / "nothing", tmp_path / "passwd")
    assert "routerctl secrets" in caught.value.hint


def test_secrets_are_made_once(tmp_path: Path) -> None:
    directory = tmp_path / "secrets"
    made = make_secrets(directory, ("firewall", "kpn"))
    names = ["bus_password_firewall", "bus_password_kpn", "bus_password_observer", "bus_users"]
    assert sorted(path.name for path in directory.iterdir()) == names
    assert all(stat.S_IMODE(path.stat().st_mode) == 0o600 for path in directory.iterdir())
    assert len(made) == 4
    users = parse_users((directory / "bus_users").read_text(), "users")
    for user, password in users.items():
        assert (directory / f"bus_password_{user}").read_text() == f"{password}\n"
        assert len(password) >= 32
        assert not any(password in line for line in made)
    assert len(set(users.values())) == 3
    before = {path.name: path.read_text() for path in directory.iterdir()}
    assert make_secrets(directory, ("firewall", "kpn")) == ()
    assert {path.name: path.read_text() for path in directory.iterdir()} == before


def test_a_node_added_later_gets_a_line_and_the_others_keep_theirs(tmp_path: Path) -> None:
    make_secrets(tmp_path, ("kpn",))
    before = (tmp_path / "bus_users").read_text()
    (made_file, extended) = make_secrets(tmp_path, ("kpn", "odido"))
    assert "bus_password_odido" in made_file
    assert extended.startswith("extended")
    after = (tmp_path / "bus_users").read_text()
    assert after.startswith(before)
    assert set(parse_users(after, "users")) == {"kpn", "observer", "odido"}


def test_a_password_of_ones_own_is_taken_and_a_contradiction_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "bus_password_kpn").write_text("my own\n")
    (tmp_path / "bus_users").write_text("firewall:theirs")
    make_secrets(tmp_path, ("kpn", "firewall"))
    users = parse_users((tmp_path / "bus_users").read_text(), "users")
    assert (users["kpn"], users["firewall"]) == ("my own", "theirs")
    assert (tmp_path / "bus_password_firewall").read_text() == "theirs\n"
    (tmp_path / "bus_password_kpn").write_text("another\n")
    with pytest.raises(SecretsError, match="different passwords for kpn"):
        make_secrets(tmp_path, ("kpn",))
    (tmp_path / "bus_password_kpn").write_text("")
    with pytest.raises(SecretsError, match="not one line"):
        make_secrets(tmp_path, ("kpn",))
