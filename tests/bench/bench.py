#!/usr/bin/env python3
"""Prints one table: stasis beside native and every peer on the machine, medians of the same run.

usage: tests/bench/bench.py [--build DIR] [--runs N] [--quick]

Peers: runsc (ptrace and default platform), runc with criu for checkpoints. What is not installed is
left out. Nothing here asserts a time: shared machines are noisy; compare the ratios.
"""
import argparse
import glob
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time


def run(cmd, **kw):
    return subprocess.run(cmd, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                          stderr=subprocess.PIPE, text=True, timeout=120, **kw)


def median_ms(cmd, runs):
    times = []
    for _ in range(runs):
        start = time.monotonic()
        r = run(cmd)
        if r.returncode != 0:
            raise RuntimeError(f"{cmd}: {r.stderr.strip()[-200:]}")
        times.append((time.monotonic() - start) * 1000)
    return statistics.median(times)


class Bench:
    def __init__(self, args):
        self.stasis = os.path.join(args.build, "stasis")
        self.subject = os.path.join(args.build, "tests/bench/subject")
        self.runs = args.runs
        self.quick = args.quick
        self.runsc = shutil.which("runsc")
        self.rows = []

    def add(self, what, unit, values):
        self.rows.append((what, unit, values))
        print("  " + what + ": " + ", ".join(
            f"{k} {v:.1f}" for k, v in values.items()) + f" {unit}", file=sys.stderr)

    def start(self):
        n = self.runs
        v = {"native": median_ms(["/bin/true"], n),
             "stasis systrap": median_ms([self.stasis, "do", "--", "/bin/true"], n),
             "stasis ptrace": median_ms([self.stasis, "--platform", "ptrace", "do", "--",
                                         "/bin/true"], n)}
        if self.runsc:
            v["runsc"] = median_ms([self.runsc, "--network=none", "do", "/bin/true"], max(3, n // 3))
        self.add("start to end of /bin/true", "ms", v)

    def getppid(self):
        def cost(prefix):
            out = []
            for _ in range(3):
                r = run(prefix + [self.subject, "getppid", "0.5"])
                out.append(float(r.stdout))
            return statistics.median(out)
        v = {"native": cost([]),
             "stasis systrap": cost([self.stasis, "do", "--"]),
             "stasis ptrace": cost([self.stasis, "--platform", "ptrace", "do", "--"])}
        if self.runsc:
            v["runsc ptrace"] = cost([self.runsc, "--network=none", "--platform=ptrace", "do"])
            v["runsc"] = cost([self.runsc, "--network=none", "do"])
        self.add("getppid", "ns", v)

    def one_checkpoint(self, mib, compression, image):
        """Milliseconds to take the image, its size in MiB, milliseconds to the first new tick."""
        name = f"bench{os.getpid()}"
        p = subprocess.Popen([self.stasis, "do", "--name", name, "--", self.subject, "hold",
                              str(mib)], stdout=subprocess.PIPE, text=True)
        assert p.stdout.readline() == "ready\n"
        p.stdout.readline()
        start = time.monotonic()
        r = run([self.stasis, "checkpoint", "--image-path", image, "--compression", compression,
                 name])
        took = (time.monotonic() - start) * 1000
        if r.returncode != 0:
            raise RuntimeError(r.stderr)
        p.stdout.read()
        p.wait()
        size = sum(os.path.getsize(f) for f in glob.glob(image + "/*")) / (1 << 20)
        ticks = []
        for _ in range(self.runs):
            began = time.time()
            p = subprocess.Popen([self.stasis, "restore", "--image-path", image, name],
                                 stdout=subprocess.PIPE, text=True)
            first = int(p.stdout.readline())
            ticks.append(first / 1e6 - began * 1000)
            run([self.stasis, "kill", name, "KILL"])
            p.stdout.read()
            p.wait()
        return took, size, statistics.median(ticks)

    def checkpoints(self):
        sizes = (16, 256) if self.quick else (16, 1024)
        for compression in ("none", "lz4"):
            ck, mb, rs = {}, {}, {}
            for mib in sizes:
                with tempfile.TemporaryDirectory() as d:
                    a, b, c = self.one_checkpoint(mib, compression, os.path.join(d, "img"))
                ck[f"{mib} MiB"], mb[f"{mib} MiB"], rs[f"{mib} MiB"] = a, b, c
            self.add(f"checkpoint, {compression}", "ms", ck)
            self.add(f"image size, {compression}", "MiB", mb)
            self.add(f"restore to the first instruction, {compression}", "ms", rs)

    def idle_memory(self):
        name = f"bench{os.getpid()}"
        p = subprocess.Popen([self.stasis, "do", "--name", name, "--", "/bin/sleep", "20"])
        time.sleep(1.5)
        pss = 0
        todo, seen = [p.pid], set()
        while todo:
            pid = todo.pop()
            if pid in seen:
                continue
            seen.add(pid)
            try:
                with open(f"/proc/{pid}/smaps_rollup") as f:
                    pss += sum(int(x.split()[1]) for x in f if x.startswith("Pss:"))
                for t in glob.glob(f"/proc/{pid}/task/*/children"):
                    with open(t) as f:
                        todo += [int(x) for x in f.read().split()]
            except OSError:
                continue
        run([self.stasis, "kill", name, "KILL"])
        p.wait()
        self.add("memory of an idle sandbox (PSS of all processes)", "MiB",
                 {"stasis systrap": pss / 1024})

    def table(self):
        print("| what | unit | values | ratios |")
        print("|---|---|---|---|")
        for what, unit, v in self.rows:
            first = next(iter(v.values()))
            values = ", ".join(f"{k} {x:.4g}" for k, x in v.items())
            ratios = ", ".join(f"{k} {x / first:.2f}" for k, x in list(v.items())[1:])
            print(f"| {what} | {unit} | {values} | {ratios} |")


def main():
    a = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    a.add_argument("--build", default="build")
    a.add_argument("--runs", type=int, default=11)
    a.add_argument("--quick", action="store_true", help="256 MiB instead of 1 GiB")
    b = Bench(a.parse_args())
    for part in (b.start, b.getppid, b.idle_memory, b.checkpoints):
        part()
    b.table()


if __name__ == "__main__":
    main()
