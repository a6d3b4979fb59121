#!/bin/sh
# Makes a CA, a server certificate with an encrypted key and a client certificate, with OpenSSL or
# LibreSSL and ssl.conf beside this file:
#
#   PASS=12345678 KEYLEN=4096 ./make-keys.sh DIRECTORY
#
# `ev-handler configure` does the same without OpenSSL, and writes the configurations too.
set -eu

: "${PASS:?the passphrase of the server key, which fluent.conf needs as private_key_passphrase}"
export PASS
KEYLEN=${KEYLEN:-4096}
CONF=$(cd "$(dirname "$0")" && pwd)/ssl.conf
cd "${1:?the directory to write into}"
# Keys are for their owner alone.
umask 077

openssl genrsa -out ca.key "$KEYLEN"
openssl req -config "$CONF" -key ca.key -new -x509 -days 7300 -sha256 -extensions v3_ca \
    -subj "/CN=ca" -out ca.crt

openssl genrsa -aes256 -passout env:PASS -out server.key "$KEYLEN"
openssl req -config "$CONF" -key server.key -passin env:PASS -new -subj "/CN=server" -out server.csr
openssl x509 -req -in server.csr -CA ca.crt -CAkey ca.key -CAcreateserial -days 365 -sha256 \
    -extfile "$CONF" -extensions server_cert -out server.crt

openssl genrsa -out client.key "$KEYLEN"
openssl req -config "$CONF" -key client.key -new -subj "/CN=client" -out client.csr
openssl x509 -req -in client.csr -CA ca.crt -CAkey ca.key -CAcreateserial -days 365 -sha256 \
    -extfile "$CONF" -extensions client_cert -out client.crt

rm -f server.csr client.csr
