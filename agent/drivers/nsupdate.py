"""Keeps records in a zone by dynamic update (RFC 2136) with a TSIG key (RFC 8945).

Level-triggered: ask the primary what is there, send one update with the difference, nothing where there is none.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

import dns.asyncquery
import dns.exception
import dns.message
import dns.name
import dns.rcode
import dns.rdataclass
import dns.rdataset
import dns.rdatatype
import dns.rdtypes
import dns.tsig
import dns.tsigkeyring
import dns.update
import dns.xfr
import dns.zone

from agent.desired.names import Record, ZoneTarget

TIMEOUT = 5.0
TRANSFER_TIMEOUT = 20.0
# What is ours at a name in a zone that is not ours alone.
ADDRESSES = ("A", "AAAA")
_KEY = re.compile(r'key\s+"?([^"\s{]+)"?\s*\{([^}]*)\}', re.DOTALL)
_ALGORITHM = re.compile(r'algorithm\s+"?([a-z0-9.-]+)"?\s*;', re.IGNORECASE)
_SECRET = re.compile(r'secret\s+"?([A-Za-z0-9+/=]+)"?\s*;')
# Those of RFC 8945 section 6 that dnspython signs with and nobody has broken; a key of another is refused by name.
_ALGORITHMS = frozenset({"hmac-sha1", "hmac-sha224", "hmac-sha256", "hmac-sha384", "hmac-sha512"})
# One record set: its data, as text, and its TTL.
Sets: TypeAlias = Mapping[tuple[str, str], tuple[frozenset[str], int]]


class NsupdateError(Exception):
    """The zone could not be looked at or changed.

    `unloaded`: the server has the zone and cannot serve it. `broken`: it could not do what it would (SERVFAIL).
    """

    def __init__(self, message: str, hint: str = "", *, unloaded: bool = False, broken: bool = False) -> None:
        super().__init__(message)
        self.hint = hint
        self.unloaded = unloaded
        self.broken = broken


@dataclass(frozen=True, slots=True)
class TsigKey:
    """A key. Its text never shows the secret."""

    name: str
    algorithm: str
    secret: str

    def __repr__(self) -> str:
        return f"TsigKey({self.name!r}, {self.algorithm!r})"


def read_key(path: Path) -> TsigKey:
    """The key of a file as `tsig-keygen` prints it. Raises NsupdateError that names the file, never the secret."""
    hint = "make it with `tsig-keygen NAME`, and mount it where the configuration says"
    try:
        text = path.read_text(encoding="ascii")
    except (OSError, UnicodeError) as error:
        why = (error.strerror or "cannot be read").lower() if isinstance(error, OSError) else "not a text"
        raise NsupdateError(f"the TSIG key {path}: {why}", hint) from None
    block = _KEY.search(text)
    algorithm, secret = (pattern.search(block[2]) if block else None for pattern in (_ALGORITHM, _SECRET))
    if block is None or secret is None:
        raise NsupdateError(f'the TSIG key {path}: not `key "NAME" {{ algorithm …; secret …; }};`', hint)
    key = TsigKey(block[1], algorithm[1].lower() if algorithm else "hmac-sha256", secret[1])
    if key.algorithm not in _ALGORITHMS:
        raise NsupdateError(f"the TSIG key {path}: the algorithm {key.algorithm[:40]} cannot be used", hint)
    try:
        dns.tsigkeyring.from_text({key.name: (key.algorithm, key.secret)})
    except (dns.exception.DNSException, ValueError):
        raise NsupdateError(f"the TSIG key {path}: the secret is not base64", hint) from None
    return key


@dataclass(frozen=True, slots=True)
class Change:
    """What an update does: record sets that go, and those that are put in their place."""

    gone: tuple[tuple[str, str], ...] = ()
    added: tuple[tuple[Record, int], ...] = ()

    def __bool__(self) -> bool:
        return bool(self.gone or self.added)


def difference(target: ZoneTarget, present: Sets) -> Change:
    """What makes `present` (of all that is ours) what `target` wants; record sets that are right stay untouched."""
    wanted: dict[tuple[str, str], set[str]] = {}
    for record in target.records:
        wanted.setdefault((record.name, record.type), set()).add(record.data)
    right = {key for key, data in wanted.items() if present.get(key) == (frozenset(data), target.ttl)}
    gone = tuple(sorted(key for key in present if key not in right))
    added = tuple((r, target.ttl) for r in sorted(target.records) if (r.name, r.type) not in right)
    return Change(gone, added)


class Server:
    """The primary of a zone, and the key it knows us by."""

    def __init__(self, target: ZoneTarget) -> None:
        self.target = target
        self._key = read_key(Path(target.key_file))
        self._keyring = dns.tsigkeyring.from_text({self._key.name: (self._key.algorithm, self._key.secret)})
        self._name = dns.name.from_text(self._key.name)
        self._origin = dns.name.from_text(target.zone)

    async def keep(self, earlier: Iterable[str] = ()) -> Change:
        """Look, and change what differs; returns what was changed. `earlier`: names that were kept before.

        Raises NsupdateError.
        """
        try:
            present = await self._transferred() if self.target.whole else await self._asked(earlier)
            change = difference(self.target, present)
            if change:
                await self._update(change)
        except (dns.exception.DNSException, ValueError, KeyError) as error:
            # A name too long for DNS, an answer that is none of this zone's: never the end of the agent.
            raise self._failed(error) from None
        return change

    async def _transferred(self) -> Sets:
        """What is ours in a zone of ours: all that DHCP did not put there, and what it did at names that we want."""
        zone = dns.zone.Zone(self._origin, relativize=False)
        query, _ = dns.xfr.make_query(zone, keyring=self._keyring, keyname=self._name)
        try:
            await dns.asyncquery.inbound_xfr(
                str(self.target.server), zone, query, port=self.target.port, timeout=TIMEOUT, lifetime=TRANSFER_TIMEOUT
            )
        except dns.xfr.TransferError as error:
            refused = f"{self._where} does not serve the zone {self.target.zone}: {dns.rcode.to_text(error.rcode)}"
            unloaded = error.rcode == dns.rcode.SERVFAIL
            raise NsupdateError(refused, "see the lines of named in the log", unloaded=unloaded) from None
        except (dns.exception.DNSException, OSError, EOFError) as error:
            raise self._failed(error) from None
        wanted = {record.name for record in self.target.records}
        found: dict[tuple[str, str], tuple[frozenset[str], int]] = {}
        for name, node in zone.nodes.items():
            label = name.to_text(omit_final_dot=True).lower()
            leased = node.get_rdataset(dns.rdataclass.IN, dns.rdatatype.DHCID) is not None
            if name == self._origin or (leased and label not in wanted):
                continue
            for rdataset in node.rdatasets:
                found[label, dns.rdatatype.to_text(rdataset.rdtype)] = _set(rdataset)
        return found

    async def _asked(self, earlier: Iterable[str]) -> Sets:
        """The addresses at our names in somebody's zone."""
        found: dict[tuple[str, str], tuple[frozenset[str], int]] = {}
        for name in sorted({record.name for record in self.target.records} | set(earlier)):
            for kind in ADDRESSES:
                query = dns.message.make_query(dns.name.from_text(name), kind)
                query.flags = 0
                query.use_tsig(self._keyring, self._name)
                answer = await self._exchange(query)
                if answer.rcode() not in {dns.rcode.NOERROR, dns.rcode.NXDOMAIN}:
                    raise self._refused(answer)
                for rrset in answer.answer:
                    if rrset.name == dns.name.from_text(name) and rrset.rdtype == dns.rdatatype.from_text(kind):
                        found[name, kind] = _set(rrset)
        return found

    async def _update(self, change: Change) -> None:
        update = dns.update.UpdateMessage(self._origin, keyring=self._keyring, keyname=self._name)
        for name, kind in change.gone:
            update.delete(dns.name.from_text(name), kind)
        for record, ttl in change.added:
            data = {"PTR": f"{record.data}.", "TXT": f'"{record.data}"'}.get(record.type, record.data)
            update.add(dns.name.from_text(record.name), ttl, record.type, data)
        answer = await self._exchange(update)
        if answer.rcode() != dns.rcode.NOERROR:
            raise self._refused(answer)

    async def _exchange(self, message: dns.message.Message) -> dns.message.Message:
        try:
            return await dns.asyncquery.tcp(message, str(self.target.server), timeout=TIMEOUT, port=self.target.port)
        except (dns.exception.DNSException, OSError, EOFError) as error:
            raise self._failed(error) from None

    @property
    def _where(self) -> str:
        return f"{self.target.server} port {self.target.port}"

    def _refused(self, answer: dns.message.Message) -> NsupdateError:
        said = dns.rcode.to_text(answer.rcode())
        hint = f"does it let the key `{self._key.name}` update {self.target.zone}?"
        if self.target.whole:
            hint = "see the lines of named in the log; is the disk of the state full?"
        return NsupdateError(
            f"{self._where} refuses to change {self.target.zone}: {said}",
            hint,
            broken=answer.rcode() == dns.rcode.SERVFAIL,
        )

    def _failed(self, error: Exception) -> NsupdateError:
        """The same failure in the same words, whatever the moment at which it struck."""
        key = f"the key `{self._key.name}` of {self.target.key_file}"
        match error:
            case dns.tsig.PeerBadKey():
                return NsupdateError(f"{self._where} does not know {key}", "is it the name that the server has?")
            case dns.tsig.PeerBadSignature() | dns.tsig.BadSignature():
                return NsupdateError(f"{self._where} has another secret for {key}", "copy the server's key file")
            case dns.tsig.PeerBadTime() | dns.tsig.BadTime():
                return NsupdateError(f"the clock of {self._where} is not ours", "set both clocks, by NTP for example")
            case dns.exception.Timeout() | TimeoutError():
                why = "no answer"
            case OSError():
                why = os.strerror(error.errno).lower() if error.errno else "cannot be reached"
            case _:
                why = type(error).__name__ + (f": {error}" if str(error) else "")
        return NsupdateError(f"{self._where}: {why}", "is its address right, and is it up?")


def _set(rdataset: dns.rdataset.Rdataset) -> tuple[frozenset[str], int]:
    texts = (rdata.to_text() for rdata in rdataset)
    if rdataset.rdtype == dns.rdatatype.PTR:
        texts = (text.rstrip(".").lower() for text in texts)
    elif rdataset.rdtype == dns.rdatatype.TXT:
        texts = (text.strip('"') for text in texts)
    return frozenset(texts), int(rdataset.ttl)
