#!/bin/sh
# Makes what the emulated internet's resolver is made of: run by hand, its results are kept beside it.
#   ca.pem                  the certificate authority that a demo's router trusts
#   server.pem, server.key  the resolver's certificate, for dns.quad9.net
#   root.zone.signed        all names of this internet, signed
#   bind.keys               the trust anchor of that zone, where named looks for the root's
# These keys protect nothing: they are for networks in which nobody else is.
set -eu
cd "$(dirname "$0")"
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
days=18250
openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -noenc -days $days -subj "/CN=Emulated Internet CA" \
    -addext basicConstraints=critical,CA:TRUE -keyout "$work/ca.key" -out ca.pem 2>/dev/null
openssl req -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -noenc -subj /CN=dns.quad9.net \
    -keyout server.key -out "$work/server.csr" 2>/dev/null
printf 'subjectAltName=DNS:dns.quad9.net\nbasicConstraints=CA:FALSE\n' >"$work/extensions"
openssl x509 -req -in "$work/server.csr" -CA ca.pem -CAkey "$work/ca.key" -CAcreateserial -CAserial "$work/serial" \
    -days $days -extfile "$work/extensions" -out server.pem 2>/dev/null
for flag in "-f KSK" ""; do
    dnssec-keygen -q -K "$work" -a ECDSAP256SHA256 $flag . >>"$work/names"
done
cat root.zone >"$work/root.zone"
for name in $(cat "$work/names"); do cat "$work/$name.key" >>"$work/root.zone"; done
dnssec-signzone -q -K "$work" -d "$work" -o . -S -s 20200101000000 -e 20600101000000 -f root.zone.signed "$work/root.zone" >/dev/null
# The signature of one name is spoilt, to see that its answer is not believed: its first octets are others.
awk '/^bogus\.example\./ { seen = 1 }
     seen && /^\t+300\tRRSIG\tA / { line = NR + 2 }
     NR == line { sub(/^\t+..../, "\t\t\t\t\tAAAA"); seen = 0 }
     { print }' root.zone.signed >"$work/spoilt"
cp "$work/spoilt" root.zone.signed
anchor=$(grep -h 'DNSKEY 257' "$work"/*.key | sed 's/.*DNSKEY //')
set -- $anchor
printf 'trust-anchors {\n    . initial-key %s %s %s "%s";\n};\n' "$1" "$2" "$3" "$(echo "$anchor" | cut -d' ' -f4- | tr -d ' ')" >bind.keys
chmod 0644 server.key
