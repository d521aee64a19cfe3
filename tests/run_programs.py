#!/usr/bin/env python3
"""Runs real programs (tests/programs) natively and in the sandbox, and compares their output.

A script prints "@save@" lines at points in the middle of its work. Modes:
    native          the oracle
    P               on platform P, uninterrupted
    cross:A:B       started on A; at every "@save@" checkpointed, the sandbox ended, restored by a
                    new one on the other platform, and so on; cross is both orders
A script names the commands and files that it needs in a line "# needs: ..." and is skipped where
one is missing; "# run: ..." names the interpreter with its options where the suffix does not say
it; "# source: PACKAGE" wants that Debian package's source archives, in the directory $SOURCE. All may
stand behind another language's comment sign. A script that natively ends with status 77 can't run
here: its last line says why.
The last line is `N passed, N failed, N skipped`.
"""

import argparse
import fnmatch
import glob
import json
import os
import re
import shutil
import signal
import sys
import time

import debian_source
import run_guest

SAVE = run_guest.MARK
CANT_RUN = 77


INTERPRETERS = {".sh": "bash", ".py": "python3", ".pl": "perl", ".rb": "ruby", ".js": "node",
                ".java": "java", ".erl": "escript"}


def header(path, name):
    """The words behind "NAME:" in the script's comments."""
    with open(path) as f:
        for line in f:
            m = re.match(r"(?:#|//|%)+ " + name + ":(.*)", line)
            if m:
                return m.group(1).split()
    return []


def lacks(path, search):
    """What the script needs and this machine doesn't have."""
    return ["no " + word for word in header(path, "needs")
            if not (glob.glob(word) if "/" in word else shutil.which(word, path=search))]


def source(path, build, environ):
    """Sets $SOURCE for a script that wants one. Returns why it can't, as a list."""
    environ.pop("SOURCE", None)
    for package in header(path, "source"):
        try:
            environ["SOURCE"] = debian_source.fetch(package, os.path.join(build, "sources"))
        except debian_source.Unobtainable as e:
            return ["the source of %s can't be had: %s" % (package, e)]
    return []


def command(path, search):
    """The interpreter by its own path, so that the sandbox starts a program and no script."""
    run = header(path, "run") or [INTERPRETERS[os.path.splitext(path)[1]]]
    return [shutil.which(run[0], path=search)] + run[1:] + [path]


class Programs(run_guest.Runner):
    def data(self, prog, user=None):
        return None, {}

    def compression(self, number):
        return ("none", "lz4")[number % 2]

    def one_program(self, argv, mode, oracle):
        if mode.startswith("cross:"):
            _, a, b = mode.split(":")
            got = self.cross(argv, a, b, "none", {})
        else:
            got = self.sandboxed(argv, mode, None, {})
            got.out = got.out.replace(SAVE, b"")
        self.compare(oracle, got)


def main():
    # Whoever started us in the background had us ignore it, and what we start would, too.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    top = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
    p = argparse.ArgumentParser(description=__doc__,
                                formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--build", default=os.path.join(top, "build"))
    p.add_argument("--stasis", help="default: BUILD/stasis, or BUILD/cli/stasis")
    p.add_argument("--modes", default="native,systrap,ptrace,cross", help="default: %(default)s")
    p.add_argument("--filter", action="append", help="glob over script names; may be repeated")
    p.add_argument("--timeout", type=float, default=300, help="seconds per run")
    p.add_argument("--verify", action="store_true", help="image verify every image")
    p.add_argument("--keep", action="store_true", help="keep the images")
    p.add_argument("--json", metavar="FILE", help="write a summary of the failures")
    p.add_argument("--verbose", action="store_true", help="one line per test, with times")
    args = p.parse_args()
    args.stasis = run_guest.find_stasis(args)
    modes = run_guest.expand_modes(args.modes)
    where = os.path.join(top, "tests", "programs")
    names = sorted(n for n in os.listdir(where) if os.path.splitext(n)[1] in INTERPRETERS)
    if args.filter:
        names = [n for n in names if any(fnmatch.fnmatch(n, f) for f in args.filter)]

    run_guest.stand_apart()
    runner = Programs(args)
    passed, skipped, failed = 0, 0, []
    try:
        for name in names:
            path = os.path.join(where, name)
            search = runner.environ["PATH"]
            missing = lacks(path, search) or source(path, args.build, runner.environ)
            if missing:
                print("skip %s: %s" % (name, ", ".join(missing)), flush=True)
                skipped += len(modes)
                continue
            argv = command(path, search)
            oracle = None
            for mode in ["native"] + [m for m in modes if m != "native"]:
                start = time.monotonic()
                try:
                    if mode == "native":
                        oracle = runner.run_plain(argv, args.timeout)
                        saves = oracle.out.count(SAVE)
                        oracle.out = oracle.out.replace(SAVE, b"")
                        if oracle.status == CANT_RUN:
                            print("skip %s: %s" % (name, oracle.out.decode().strip()), flush=True)
                            skipped += len(modes)
                            break
                        if oracle.status or not saves:
                            raise run_guest.Failure("exit status %d, %d marks; stderr: %s"
                                                    % (oracle.status, saves, oracle.err))
                    elif not os.access(args.stasis, os.X_OK):
                        skipped += 1
                        continue
                    else:
                        runner.one_program(argv, mode, oracle)
                except run_guest.Failure as e:
                    print("FAIL %s %s: %s" % (name, mode, e), flush=True)
                    failed.append({"program": name, "mode": mode, "reason": str(e)})
                    if mode == "native":
                        break
                    continue
                if args.verbose:
                    print("%s %s: pass (%.2f s)" % (name, mode, time.monotonic() - start),
                          flush=True)
                if mode in modes:
                    passed += 1
        left = run_guest.leftovers()
        if left:
            print("FAIL leftovers: %s" % "; ".join(left))
            failed.append({"program": "leftovers", "mode": "all", "reason": "; ".join(left)})
    finally:
        if not args.keep:
            shutil.rmtree(runner.tmp, ignore_errors=True)
    if args.json:
        with open(args.json, "w") as f:
            json.dump({"passed": passed, "skipped": skipped, "failed": failed}, f, indent=1)
    print("%d passed, %d failed, %d skipped" % (passed, len(failed), skipped))
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
