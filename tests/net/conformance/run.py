#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""Runs all rows of a matrix in one lab, beside each other, and writes down the results.

run.py segments|sockets NAMESPACE OUT [--preload LIBRARY] [--ready COMMAND...]: in the client's network namespace;
NAMESPACE is the server's. COMMAND ADDRESS:PORT... is repeated until it succeeds, before the rows that need these
listening sockets begin. OUT: JSON, one object a row.
"""
import asyncio
import importlib
import json
import os
import sys
import time
import traceback

import catalogue
from listeners import SERVER
from wire import Wire

HERE = os.path.dirname(os.path.abspath(__file__))
MATRICES = {"segments": ("syn_rows", "ack_rows", "end_rows"), "sockets": ("socket_rows",)}
AT_ONCE = 80  # rows, not counting those that wait


def address(family):
    return SERVER[4] if family == 4 else f"[{SERVER[6]}]"


class Lab:
    server_address = SERVER

    def __init__(self, namespace, preload, asks):
        self.namespace, self.preload, self.asks = namespace, preload, asks
        self.clients, self.count = {}, 0
        self.answers = asyncio.Queue()

    def new_address(self, family):
        """Every client has a separate address: what the server's host learns about one does not apply to another."""
        self.count += 1
        return f"10.10.{self.count >> 8}.{self.count & 255}" if family == 4 else f"2001:db8:a::{self.count:x}"

    async def start(self):
        self.wire = Wire()
        command = ["nsenter", f"--net=/run/netns/{self.namespace}", "--"]
        if self.preload:
            command += ["env", f"LD_PRELOAD={self.preload}"]
        self.process = await asyncio.create_subprocess_exec(
            *command, "/usr/bin/python3", f"{HERE}/listeners.py", stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE)
        self.reader = asyncio.create_task(self.read())

    async def read(self):
        async for line in self.process.stdout:
            event = json.loads(line)
            if "peer" not in event:
                if "failed" not in event:
                    self.answers.put_nowait(event)
                continue
            address = event["peer"].removeprefix("::ffff:")
            client = self.clients.get((address, event["port"]))
            if client:
                client.said(event)

    async def order(self, **what):
        self.process.stdin.write(json.dumps(what).encode() + b"\n")
        return await self.answers.get()

    async def inside(self, *command):
        """Runs it in the server's namespace."""
        process = await asyncio.create_subprocess_exec("nsenter", f"--net=/run/netns/{self.namespace}", "--", *command)
        if await process.wait():
            raise RuntimeError(f"{command} failed")

    async def ready(self, ports):
        """Waits until shakeoff serves these listening sockets; without shakeoff returns at once."""
        end = time.monotonic() + 60
        while self.asks:
            process = await asyncio.create_subprocess_exec(*self.asks, *(f"{address(family)}:{port}" for family, port in ports))
            if await process.wait() == 0:
                return
            if time.monotonic() > end:
                raise RuntimeError(f"the hook does not serve all of {ports}")
            await asyncio.sleep(0.1)

    async def stop(self):
        self.process.stdin.close()
        self.process.terminate()
        await self.process.wait()


async def run_row(lab, row, at_once, seen):
    async with at_once:
        begin = time.monotonic()
        try:
            client = await asyncio.wait_for(row.function(lab, row.family, **row.more), 200)
            noted = client.noted
        except Exception:
            noted = {"failed": traceback.format_exc(limit=-3)}
        seen.append({"name": row.name, "family": row.family, "noted": noted, "seconds": round(time.monotonic() - begin, 1)})


def patience(row):
    return row.more.get("seconds", 0)


async def main():
    arguments = sys.argv[1:]
    command = arguments[arguments.index("--ready") + 1:] if "--ready" in arguments else None
    preload = arguments[arguments.index("--preload") + 1] if "--preload" in arguments else None
    matrix, namespace, out = arguments[:3]
    for module in MATRICES[matrix]:
        module = importlib.import_module(module)
    lab = Lab(namespace, preload, command)
    await lab.start()
    try:
        await lab.ready(await module.listen(lab) if hasattr(module, "listen") else await listen(lab))
        seen = await run_rows(lab, [row for row in catalogue.rows if os.environ.get("ROW", "") in row.name])
    finally:
        await lab.stop()
    with open(out, "w") as file:
        json.dump(seen, file, indent=1)


async def run_rows(lab, rows):
    """First the rows that need nothing of the host, beside each other, those that wait first; then the phases, one after
    the other."""
    seen, at_once = [], asyncio.Semaphore(AT_ONCE)
    for phase in dict.fromkeys([None, *(row.phase for row in rows)]):
        chosen = sorted((row for row in rows if row.phase == phase), key=patience, reverse=True)
        if phase:
            await phase.begin(lab)
        await asyncio.gather(*(run_row(lab, row, asyncio.Semaphore() if patience(row) else at_once, seen) for row in chosen))
        if phase:
            await phase.end(lab)
    return seen


async def listen(lab):
    for port, mode in catalogue.MODES.items():
        for family in (4, 6):
            await lab.order(listen=port, family=family, mode=mode, backlog=2 if mode == "hold" else 4096)
    return [(family, port) for port in catalogue.MODES for family in (4, 6)]


if __name__ == "__main__":
    asyncio.run(main())
