#!/usr/bin/env python3
"""Prints one table: what single operations cost native, in stasis (systrap) and in runsc.

usage: tests/bench/micro.py [--build DIR] [--runs N] [--dir DIR] [--one-core] [NAME...]

Each number is the median of N runs of tests/bench/micro.c, taken in turns, so that a noisy moment
hits all. Ratios are of costs: stasis/native is how many times dearer stasis is than native,
runsc/stasis how many times dearer runsc is than stasis; for throughput they are turned around, so
that they mean the same. Worst first. Nothing here asserts a time: shared machines are noisy.
"""
import argparse
import os
import subprocess
import sys
import tempfile

from compare import Comparison, run

WHAT = {
    "getppid": "getppid",
    "pipe-rt": "pipe, round trip of 1 byte",
    "unix-rt": "unix stream, round trip of 1 byte",
    "tcp-rt": "tcp, round trip of 1 byte",
    "pipe-bw": "pipe, writes of 64 KiB",
    "unix-bw": "unix stream, writes of 64 KiB",
    "tcp-bw": "tcp, writes of 64 KiB",
    "fork": "fork, exit, wait",
    "exec": "fork, exec of /bin/true, wait",
    "thread": "thread create, join",
    "mmap": "mmap, touch, munmap of a page",
    "touch": "first touch of a page, in a row",
    "open": "open, close",
    "stat": "stat",
    "create": "create, close",
    "unlink": "unlink",
}


def measure(c, micro, name, unit, runs):
    got = {k: [] for k in c.where}
    for _ in range(runs):
        for k, prefix in c.where.items():
            if got[k] is None:
                continue
            try:
                got[k].append(float(run([*prefix, micro, name], c.cwd)))
            except (RuntimeError, ValueError, subprocess.TimeoutExpired) as e:
                print(f"  {name}, {k}: {e}", file=sys.stderr)
                got[k] = None
    c.add(name, unit, got)


def main():
    a = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    a.add_argument("--build", default="build")
    a.add_argument("--runs", type=int, default=3)
    a.add_argument("--dir", help="where files are made (default: a new directory in /tmp)")
    a.add_argument("--one-core", action="store_true", help="everything on one core")
    a.add_argument("names", nargs="*", metavar="NAME", help="only these (micro list)")
    args = a.parse_args()
    build = os.path.abspath(args.build)
    micro = os.path.join(build, "tests/bench/micro")
    if args.one_core:
        os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})
    with tempfile.TemporaryDirectory(dir=args.dir) as cwd:
        c = Comparison(build, cwd, WHAT, {"MiB/s"})
        units = dict(line.split() for line in run([micro, "list"], cwd).splitlines())
        for name in args.names or units:
            if name not in units:
                a.error(f"{name}: not one of {', '.join(units)}")
            measure(c, micro, name, units[name], args.runs)
    c.table()


if __name__ == "__main__":
    main()
