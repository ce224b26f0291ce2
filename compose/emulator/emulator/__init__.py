"""The world around the router in the compose demos. Standard library only; every role is one command.

| command | environment |
|---|---|
| `isp` | `CORE`, `LINE`: addresses; `KIND` `dhcp` or `pppoe`; `VLAN`; `POOL`; `ROUTES`; `PREFIX`; `USER`, `PASSWORD` |
| `internet` | `CORE`; `OWNS`: further addresses it answers on; `ROUTES`: `PREFIX via ROUTER`; `TUNNEL…`: WireGuard |
| `client` | `VLAN`: the network it lives on |

Lists are separated by commas. Interfaces are named `core`, `line` and `lan` by the compose file.
"""
