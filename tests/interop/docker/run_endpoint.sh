#!/bin/bash
# What the interop runner starts: ROLE, TESTCASE, REQUESTS, SERVER_PARAMS, CLIENT_PARAMS, SSLKEYLOGFILE and QLOGDIR
# are its environment. Exit code 127 of quic-relay, for a test case that it does not support, is passed on.

# Routes of the simulated network; part of the base image, as is wait-for-it.sh.
/setup.sh

case "$ROLE" in
client)
    /wait-for-it.sh sim:57832 -s -t 30
    # The parameters are words. REQUESTS and TESTCASE are read by the program itself.
    exec quic-relay interop-client $CLIENT_PARAMS
    ;;
server)
    exec quic-relay interop-server $SERVER_PARAMS
    ;;
*)
    echo "ROLE is neither client nor server: $ROLE" >&2
    exit 1
    ;;
esac
