#!/bin/bash
# Makes the certificates of the TLS tests, signed by themselves: valid until 2100, renewed, expired, not yet valid.
set -euo pipefail
cd "$(dirname "$0")"
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

# certificate NAME KEY FROM UNTIL [MORE NAMES]
certificate() {
    : > "$work/index"
    printf "%04X\n" $RANDOM > "$work/serial"
    cat > "$work/ca.conf" <<CONF
[ca]
default_ca = own
[own]
new_certs_dir = $work
database = $work/index
serial = $work/serial
policy = any
default_md = sha256
x509_extensions = extensions
[any]
commonName = supplied
[extensions]
subjectAltName = DNS:localhost, DNS:media.test${5:-}
CONF
    openssl req -new -key "$2" -subj "/CN=localhost" -out "$work/request"
    openssl ca -batch -notext -selfsign -config "$work/ca.conf" -keyfile "$2" -in "$work/request" -startdate "$3" -enddate "$4" -out "$1" 2> /dev/null
}

key() { openssl ecparam -name prime256v1 -genkey -noout | openssl pkcs8 -topk8 -nocrypt -out "$1"; }

key key.pem
key renewed-key.pem
openssl pkcs8 -topk8 -in key.pem -passout pass:secret -out encrypted-key.pem
certificate certificate.pem key.pem 20250101000000Z 21000101000000Z ", IP:127.0.0.1"
certificate renewed.pem renewed-key.pem 20250101000000Z 21000101000000Z
certificate expired.pem key.pem 20200101000000Z 20210101000000Z
certificate future.pem key.pem 20990101000000Z 21000101000000Z
