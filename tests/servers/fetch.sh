#!/usr/bin/env bash
# Makes the real servers available that the tests start: Apache Kafka's jars in .servers/, ClickHouse from
# the system's packages. Does only what is missing; says what to do where it cannot do it itself.
set -euo pipefail
cd "$(dirname "$0")/../.."

jars=.servers/kafka/jars
pom=tests/servers/kafka/pom.xml

say() { printf 'servers: %s\n' "$*" >&2; }

have() { PATH="$PATH:/usr/sbin:/usr/local/bin:$PWD/.servers/clickhouse" command -v "$1" >/dev/null; }

updated=
install_package() {
    if [ "$(id -u)" != 0 ] || ! have apt-get; then
        return 1
    fi
    export DEBIAN_FRONTEND=noninteractive
    if [ -z "$updated" ]; then
        apt-get update -qq
        updated=yes
    fi
    say "installing $*"
    apt-get install -y -qq --no-install-recommends "$@" >/dev/null
}

fetch_kafka() {
    if [ -e "$jars/.complete" ] && [ "$jars/.complete" -nt "$pom" ]; then
        return
    fi
    if ! have java || ! have mvn; then
        install_package default-jre-headless maven || {
            say "Kafka needs Java 17 or newer and Maven: install both so that java and mvn are on PATH"
            return 1
        }
    fi
    say "fetching Kafka's jars into $jars"
    rm -rf "$jars"
    if ! log=$(mvn -q -B -f "$pom" dependency:copy-dependencies -DoutputDirectory="$PWD/$jars" 2>&1); then
        say "Maven failed: $log"
        return 1
    fi
    touch "$jars/.complete"
}

fetch_clickhouse() {
    if have clickhouse-server || have clickhouse; then
        return
    fi
    install_package clickhouse-server || {
        say "ClickHouse is missing: on Debian or Ubuntu run this as root, elsewhere install ClickHouse 18.16" \
            "or newer so that clickhouse-server or clickhouse is on PATH"
        return 1
    }
}

fetch_kafka
fetch_clickhouse
say "Kafka and ClickHouse are there; try one with: .venv/bin/python -m tests.servers kafka"
