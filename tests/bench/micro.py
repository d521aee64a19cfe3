#!/usr/bin/env python3
"""Prints one table: what single operations cost native, in stasis (systrap) and in runsc.

usage: tests/bench/micro.py [--build DIR] [--runs N] [--dir DIR] [NAME...]

Each number is the median of N runs of tests/bench/micro.c, taken in turns, so that a noisy moment
hits all. Ratios are of costs: stasis/native is how many times dearer stasis is than native,
runsc/stasis how many times dearer runsc is than stasis; for throughput they are turned around, so
that they mean the same. Worst first. Nothing here asserts a time: shared machines are noisy.
"""
import argparse
import os
import shutil
import statistics
import subprocess
import sys
import tempfile

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


def run(cmd, cwd):
    r = subprocess.run(cmd, cwd=cwd, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                       stderr=subprocess.PIPE, text=True, timeout=120)
    if r.returncode != 0:
        raise RuntimeError(f"{' '.join(cmd)}: {r.returncode}: {r.stderr.strip()[-200:]}")
    return r.stdout


def runsc_prefix(cwd):
    """How runsc runs a program here, None where it is not installed or does not."""
    runsc = shutil.which("runsc")
    if not runsc:
        return None
    for flags in ([], ["--rootless"]):
        cmd = [runsc, *flags, "--network=none", "do"]
        try:
            run([*cmd, "/bin/true"], cwd)
            return cmd
        except (RuntimeError, subprocess.TimeoutExpired) as e:
            print(f"  {e}", file=sys.stderr)
    return None


class Micro:
    def __init__(self, args, cwd):
        build = os.path.abspath(args.build)
        self.micro = os.path.join(build, "tests/bench/micro")
        self.runs = args.runs
        self.cwd = cwd
        self.where = {"native": [], "stasis": [os.path.join(build, "stasis"), "do", "--"]}
        runsc = runsc_prefix(cwd)
        if runsc:
            self.where["runsc"] = runsc
        self.rows = []

    def measure(self, name, unit):
        got = {k: [] for k in self.where}
        for _ in range(self.runs):
            for k, prefix in self.where.items():
                if got[k] is None:
                    continue
                try:
                    got[k].append(float(run([*prefix, self.micro, name], self.cwd)))
                except (RuntimeError, ValueError, subprocess.TimeoutExpired) as e:
                    print(f"  {name}, {k}: {e}", file=sys.stderr)
                    got[k] = None
        v = {k: statistics.median(x) for k, x in got.items() if x}
        self.rows.append((name, unit, v))
        print(f"  {name}: " + ", ".join(f"{k} {x:.1f}" for k, x in v.items()) + f" {unit}",
              file=sys.stderr)

    @staticmethod
    def ratio(unit, v, over, under):
        """How many times dearer `over` is than `under`, None where one is missing."""
        if over not in v or under not in v:
            return None
        return v[under] / v[over] if unit == "MiB/s" else v[over] / v[under]

    def table(self):
        def order(row):
            r = self.ratio(row[1], row[2], "runsc", "stasis")
            if r is not None:
                return (1, r)
            # Without runsc the worst is what is furthest from native; a failure leads them all.
            r = self.ratio(row[1], row[2], "stasis", "native")
            return (0, 0) if r is None else (1, 1 / r)

        def cell(x, form):
            return "-" if x is None else format(x, form)

        print("| what | unit | native | stasis | runsc | stasis/native | runsc/stasis |")
        print("|---|---|---|---|---|---|---|")
        for name, unit, v in sorted(self.rows, key=order):
            values = " | ".join(cell(v.get(k), ".0f") for k in ("native", "stasis", "runsc"))
            print(f"| {WHAT.get(name, name)} | {unit} | {values} | "
                  f"{cell(self.ratio(unit, v, 'stasis', 'native'), '.2f')} | "
                  f"{cell(self.ratio(unit, v, 'runsc', 'stasis'), '.2f')} |")


def main():
    a = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    a.add_argument("--build", default="build")
    a.add_argument("--runs", type=int, default=3)
    a.add_argument("--dir", help="where files are made (default: a new directory in /tmp)")
    a.add_argument("names", nargs="*", metavar="NAME", help="only these (micro list)")
    args = a.parse_args()
    with tempfile.TemporaryDirectory(dir=args.dir) as cwd:
        m = Micro(args, cwd)
        units = dict(line.split() for line in run([m.micro, "list"], cwd).splitlines())
        for name in args.names or units:
            if name not in units:
                a.error(f"{name}: not one of {', '.join(units)}")
            m.measure(name, units[name])
    m.table()


if __name__ == "__main__":
    main()
