#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
# ready.sh NAMESPACE VARIANT ADDRESS:PORT...: succeeds if shakeoff serves all these listening sockets as the variant
# requires.
namespace=$1 variant=$2
shift 2
nsenter --net="/run/netns/$namespace" -- "$BUILD/shakeoff" status --json 2>/dev/null | /usr/bin/python3 -c '
import json, sys
variant, wanted = sys.argv[1], sys.argv[2:]
state = "idle" if variant == "idle" else "active"
good = {address for path in json.load(sys.stdin)["datapaths"] for service in path["services"] if service["served"] and
        service["state"] == state for address in service["addresses"]}
sys.exit(not good.issuperset(wanted))' "$variant" "$@"
