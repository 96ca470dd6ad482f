#!/bin/sh
# Makes what compose.cluster.yaml needs beside it: the passwords of the NATS users in .env, and certificates of an authority of
# their own in tls/, valid for ten years. What exists is kept. The keys are readable in containers without capabilities; the
# directory is not, for other users of this machine.
set -eu
cd "$(dirname "$0")"
umask 077

if [ ! -e .env ]; then
  for role in ENGINE OPERATOR SERVICE PUBLISHER VIEWER; do
    # It begins with a letter: nats-server reads the values of variables like those of its configuration.
    echo "ORDERLY_${role}_PASSWORD=p$(openssl rand -hex 16)"
  done > .env.new
  mv .env.new .env
fi

if [ ! -e tls ]; then
  rm -rf tls.new
  mkdir tls.new
  cd tls.new
  openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 3650 -subj "/CN=orderly cluster" -keyout ca-key.pem -out ca.pem
  openssl req -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -subj "/CN=nats" -keyout server-key.pem -out server.csr
  cat > server.ext <<'EXT'
subjectAltName = DNS:nats-1, DNS:nats-2, DNS:nats-3, DNS:localhost, IP:127.0.0.1
extendedKeyUsage = serverAuth, clientAuth
EXT
  openssl x509 -req -in server.csr -CA ca.pem -CAkey ca-key.pem -CAcreateserial -days 3650 -extfile server.ext -out server.pem
  rm -f ca-key.pem ca.srl server.csr server.ext # no further certificates
  chmod 644 ca.pem server.pem server-key.pem
  cd ..
  mv tls.new tls
fi
