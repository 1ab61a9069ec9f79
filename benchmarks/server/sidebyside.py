#!/usr/bin/env python3
"""Starts servers one after another, replays the same trace against each, and prints one table. All get the same requests at the same moments: the
loads are shares of the capacity of the first of them.

    sidebyside.py --trace AzureLLMInferenceTrace_conv.csv --seconds 120 --forbid 2 \\
        --server "lacuna=./lacuna serve MODEL.gguf --port {port}" \\
        --server "llama-server=llama-server -m MODEL.gguf --port {port} -np 4 -c 8192"
"""
import argparse
import asyncio
import os
import platform
import shlex
import signal
import socket
import subprocess
import sys

import replay


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def processor():
    try:
        with open("/proc/cpuinfo") as lines:
            return next(line.split(":", 1)[1].strip() for line in lines if line.startswith("model name"))
    except (OSError, StopIteration):
        return platform.processor() or platform.machine()


def memory(pid):
    """MB resident, of a process and those it started."""
    total = 0
    for other in filter(str.isdigit, os.listdir("/proc")):
        try:
            if os.getpgid(int(other)) == os.getpgid(pid):
                with open(f"/proc/{other}/status") as lines:
                    total += sum(int(line.split()[1]) for line in lines if line.startswith("VmRSS"))
        except (OSError, ValueError):
            continue  # it has ended
    return total / 1024


async def run(label, command, options, trace, out):
    port = free_port()
    command = shlex.split(command.replace("{port}", str(port)))
    with open(options.log, "ab") if options.log else open(os.devnull, "wb") as log:
        process = subprocess.Popen(command, stdout=log, stderr=log, stdin=subprocess.DEVNULL, start_new_session=True)
        try:
            server = replay.Server(f"http://127.0.0.1:{port}", None, None, options.forbid, options.timeout)
            server.model = await server.ready(options.start)
            rows, capacity = await replay.measure(label, server, trace, options, out)
            print(f"{label}: {memory(process.pid):.0f} MB resident at the end", file=sys.stderr)
            return rows, capacity
        finally:
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGTERM)
                try:
                    process.wait(60)
                except subprocess.TimeoutExpired:
                    os.killpg(process.pid, signal.SIGKILL)
                    process.wait()


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--server", action="append", required=True, metavar="LABEL=COMMAND", help="{port} in it is replaced")
    parser.add_argument("--start", type=float, default=120, help="seconds that a server may take until it answers (default: 120)")
    parser.add_argument("--own-capacity", action="store_true", help="loads are shares of each server's own capacity")
    parser.add_argument("--log", help="file for what the servers write")
    replay.arguments(parser)
    options = parser.parse_args()
    trace = replay.load_trace(options)
    out = open(options.json, "a") if options.json else None
    rows, given = [], options.capacity
    for entry in options.server:
        label, _, command = entry.partition("=")
        if given is None and options.own_capacity:
            options.capacity = None
        more, capacity = asyncio.run(run(label, command, options, trace, out))
        rows += more
        options.capacity = options.capacity or capacity
    print(f"{os.cpu_count()} processors, {processor()}\n")
    print(replay.table(rows))


if __name__ == "__main__":
    main()
