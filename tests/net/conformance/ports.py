#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""ports.py MATRIX: a name and the addresses of each listening socket of the rows, one a line."""
import sys

import catalogue
import socket_rows
from listeners import SERVER

at = {port: order["address"] for port, _, order in socket_rows.listening if "address" in order}
for port in socket_rows.PORTS if sys.argv[1] == "sockets" else catalogue.MODES:
    addresses = socket_rows.ANYCAST if at.get(port) in socket_rows.ANYCAST.values() else SERVER
    four, six = f"{addresses[4]}:{port}", f"[{addresses[6]}]:{port}"
    if at.get(port) == "::":
        print(f"p{port} {four} {six}")
    else:
        print(f"p{port}-4 {four}")
        print(f"p{port}-6 {six}")
