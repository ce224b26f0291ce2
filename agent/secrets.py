"""`routerctl secrets DIR`: passwords for the nodes of the bus, and the file of users that the broker's node reads.

DIR/bus_password_<node>   one line; mount it as that node's bus.password_file (/run/secrets/bus_password)
DIR/bus_password_observer the user that only reads: for people and mosquitto_sub
DIR/bus_users             lines of `user:password`; mount it as the broker's bus.users_file (/run/secrets/bus_users)
"""

from __future__ import annotations

import os
import secrets
from collections.abc import Iterable
from pathlib import Path

OBSERVER = "observer"
_BYTES = 24  # of randomness: 32 characters


class SecretsError(Exception):
    """What is there contradicts itself; the text says which files, never a password."""


def make_secrets(directory: Path, nodes: Iterable[str]) -> tuple[str, ...]:
    """Make what is missing, with mode 0600, and give a line on each file made or extended.

    A password that is there stays: a file is never overwritten, `bus_users` only gets lines for users it does not
    have. So a node that is added later takes one more run.

    Raises:
        SecretsError: a node's file and `bus_users` have different passwords.
        OSError: the directory cannot be written.
    """
    directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    users_file = directory / "bus_users"
    known = _users(users_file)
    made: list[str] = []
    new: list[str] = []
    for user in (*nodes, OBSERVER):
        path = directory / f"bus_password_{user}"
        password = _first_line(path)
        if password is None:
            password = known.get(user) or secrets.token_urlsafe(_BYTES)
            _create(path, f"{password}\n")
            made.append(f"made {path}: mount it as /run/secrets/bus_password of {user}" if user != OBSERVER else
                        f"made {path}: for people, with mosquitto_sub")  # fmt: skip
        if user not in known:
            new.append(f"{user}:{password}\n")
        elif known[user] != password:
            raise SecretsError(f"{path} and {users_file} have different passwords for {user}: remove one of the two")
    if new:
        line = _extend(users_file, new)
        made.append(line)
    return tuple(made)


def _users(path: Path) -> dict[str, str]:
    try:
        lines = path.read_text().splitlines()
    except FileNotFoundError:
        return {}
    return {user: password for user, colon, password in (line.strip().partition(":") for line in lines) if colon}


def _first_line(path: Path) -> str | None:
    try:
        text = path.read_text().strip()
    except FileNotFoundError:
        return None
    if not text or "\n" in text:
        raise SecretsError(f"{path} is not one line with a password: remove it and run this again")
    return text


def _create(path: Path, text: str) -> None:
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
        file.write(text)


def _extend(path: Path, lines: list[str]) -> str:
    users = ", ".join(line.partition(":")[0] for line in lines)
    if not path.exists():
        _create(path, "".join(lines))
        return f"made {path}: mount it as /run/secrets/bus_users of the broker's node (users {users})"
    before = path.read_text()
    with path.open("a") as file:
        file.write("" if not before or before.endswith("\n") else "\n")
        file.writelines(lines)
    return f"extended {path} with users {users}: the broker's node takes them up within minutes"
