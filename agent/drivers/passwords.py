"""mosquitto's password file, made from `bus.users_file`: lines of `user:password`, hashed here, never in an argv.

The format is that of mosquitto_passwd(1) of mosquitto 2: `user:$7$<iterations>$<salt>$<PBKDF2-HMAC-SHA512>`.
"""

from __future__ import annotations

import base64
import binascii
import grp
import hashlib
import hmac
import os
import re
import secrets
from functools import partial
from pathlib import Path

from agent.files import write_whole

# The broker computes it once per login, in its only thread: 1000 rounds take it about a millisecond.
ITERATIONS = 1000
SALT_BYTES = 12
_HASH_BYTES = 64
_MOST_ITERATIONS = 1_000_000
_USER = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,62}")


class PasswordsError(Exception):
    """The users file cannot be used. The text names the line, never a password."""

    def __init__(self, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.hint = hint


def parse_users(text: str, where: str) -> dict[str, str]:
    """Give user → password of a users file; empty lines and lines that begin with # are skipped.

    Raises:
        PasswordsError: a line is not `user:password`, or a user comes twice.
    """
    users: dict[str, str] = {}
    for number, line in enumerate(text.splitlines(), 1):
        if not line.strip() or line.startswith("#"):
            continue
        user, colon, password = line.strip().partition(":")
        if not colon or not password or not _USER.fullmatch(user):
            raise PasswordsError(f"{where}:{number}: not a line of `user:password`", "write it like kpn:secret")
        if user in users:
            raise PasswordsError(f"{where}:{number}: user {user} a second time", "remove one of the two lines")
        users[user] = password
    return users


def hash_password(password: str, salt: bytes, iterations: int = ITERATIONS) -> str:
    """Give the hash as mosquitto writes it."""
    digest = hashlib.pbkdf2_hmac("sha512", password.encode(), salt, iterations, _HASH_BYTES)
    return f"$7${iterations}${base64.b64encode(salt).decode()}${base64.b64encode(digest).decode()}"


def verify_password(password: str, hashed: str) -> bool:
    """Whether a hash is this password's."""
    try:
        empty, kind, iterations, salt, _ = hashed.split("$")
        rounds, raw = int(iterations), base64.b64decode(salt, validate=True)
    except (ValueError, binascii.Error):
        return False
    if empty or kind != "7" or not 0 < rounds <= _MOST_ITERATIONS:
        return False
    return hmac.compare_digest(hash_password(password, raw, rounds), hashed)


def write_passwords(users_file: Path, target: Path, group: str = "mosquitto") -> bool:
    """Make the hashed file from the users file; whether it changed, so that mosquitto must get a HUP.

    Its mode is 0640 with `group`, 0600 where there is no such group: mosquitto reads it when it is no longer root. The
    hash of a password that did not change stays, salt and all: a file with nothing new in it is not written.

    Raises:
        PasswordsError: the users file is missing or wrong.
        OSError: the target cannot be written.
    """
    try:
        text = users_file.read_text()
    except (OSError, UnicodeError) as error:
        why = error.strerror if isinstance(error, OSError) else "not UTF-8"
        hint = "make it with `routerctl secrets` and mount it where bus.users_file says"
        raise PasswordsError(f"cannot read the users of the bus: {users_file}: {why}", hint) from None
    users = parse_users(text, str(users_file))
    try:
        before = target.read_text()
    except (FileNotFoundError, UnicodeError):
        before = None
    known = dict(line.split(":", 1) for line in (before or "").splitlines() if ":" in line)
    lines = [f"{user}:{_hash(password, known.get(user, ''))}" for user, password in sorted(users.items())]
    after = "".join(f"{line}\n" for line in lines)
    if after == before:
        return False
    write_whole(target, after, 0o600, durable=False, own=partial(_let_read, group))  # made anew at every start
    return True


def _let_read(group: str, descriptor: int) -> None:
    try:
        os.fchown(descriptor, -1, grp.getgrnam(group).gr_gid)
    except (KeyError, PermissionError):
        return  # no mosquitto here, or not root: a test or `routerctl render`
    os.fchmod(descriptor, 0o640)


def _hash(password: str, known: str) -> str:
    return known if verify_password(password, known) else hash_password(password, secrets.token_bytes(SALT_BYTES))
