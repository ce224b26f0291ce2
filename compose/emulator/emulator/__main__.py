"""`python3 -m emulator ROLE`."""

from __future__ import annotations

import sys

from emulator import client, delegation, hoster, internet, isp, machine

ROLES = {
    "isp": isp.main,
    "internet": internet.main,
    "client": client.main,
    "hoster": hoster.main,
    "machine": machine.main,
    # Started by the roles above.
    "delegate": delegation.main,
    "echo": internet.serve,
}


def main() -> int:
    """Run the role named on the command line."""
    match sys.argv[1:]:
        case [role] if role in ROLES:
            return ROLES[role]()
        case _:
            sys.stderr.write(f"usage: emulator {'|'.join(ROLES)}\n")
            return 2


if __name__ == "__main__":
    sys.exit(main())
