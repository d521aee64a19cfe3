#!/usr/bin/env python3
"""Runs the guest programs natively and in the sandbox, and compares what they print.

A mode is one of
    native              on the host: the oracle
    native-user         on the host as uid 65534 (needs root): must pass
    P                   on platform P (systrap, ptrace, ...)
    P-save              saved, torn down and reloaded at every marked point
    P-autosaveN         the same after every Nth system call; autosaveN is systrap-autosaveN
    cross:A:B           checkpointed on A at a marked point, restored on B by a new sandbox;
                        cross is both orders of systrap and ptrace
    crossall:A:B        the same at every marked point in turn, back and forth
Every (program, mode) is one test. The last line is `N passed, N failed, N skipped`.
"""

import argparse
import concurrent.futures
import ctypes
import difflib
import fnmatch
import json
import os
import re
import select
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time

PR_SET_CHILD_SUBREAPER = 36
CLONE_NEWUTS = 0x04000000
CLONE_NEWIPC = 0x08000000
MARK = b"@save@\n"
DEFAULT_MODES = ("native,systrap,ptrace,systrap-save,ptrace-save,"
                 "systrap-autosave7,ptrace-autosave101,cross")


class Failure(Exception):
    pass


class Result:
    def __init__(self, status, out, err):
        self.status = status
        self.out = out
        self.err = err


class Runner:
    def __init__(self, args):
        self.args = args
        self.token = "%d-%d" % (os.getpid(), int(time.time()))
        self.count = 0
        self.lock = threading.Lock()
        self.tmp = tempfile.mkdtemp(prefix="stasis-guest.")
        os.chmod(self.tmp, 0o755)
        self.environ = {
            "PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
            "HOME": "/", "LC_ALL": "C", "TZ": "UTC",
        }
        for name in ("ASAN_OPTIONS", "UBSAN_OPTIONS", "TSAN_OPTIONS"):
            if name in os.environ:
                self.environ[name] = os.environ[name]

    def fresh(self):
        with self.lock:
            self.count += 1
            return self.count

    # Processes

    def env(self, mark, extra=None):
        e = dict(self.environ)
        e["GUEST_RUN"] = mark
        if extra:
            e.update(extra)
        return e

    def spawn(self, argv, mark, stdin, stdout, stderr, extra=None, user=None):
        kw = {}
        if user is not None:
            kw = {"user": user, "group": user, "extra_groups": []}
        return subprocess.Popen(argv, stdin=stdin, stdout=stdout, stderr=stderr, cwd="/",
                                env=self.env(mark, extra), start_new_session=True, **kw)

    def kill(self, proc, mark):
        """Ends proc, its group, and every process that carries the mark in its environment."""
        try:
            os.killpg(proc.pid, signal.SIGKILL)
        except OSError:
            pass
        self.kill_marked(mark)
        try:
            proc.wait(10)
        except subprocess.TimeoutExpired:
            pass

    @staticmethod
    def kill_marked(mark):
        want = b"GUEST_RUN=" + mark.encode()
        for name in os.listdir("/proc"):
            if not name.isdigit() or int(name) == os.getpid():
                continue
            try:
                with open("/proc/%s/environ" % name, "rb") as f:
                    if want in f.read().split(b"\0"):
                        os.kill(int(name), signal.SIGKILL)
            except OSError:
                continue

    def cli(self, root, argv, timeout):
        cmd = [self.args.stasis, "--root", root] + argv
        try:
            p = subprocess.run(cmd, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                               stderr=subprocess.STDOUT, timeout=timeout, cwd="/",
                               env=self.env("cli-" + self.token))
        except subprocess.TimeoutExpired:
            raise Failure("%s: no end after %d s" % (" ".join(argv[:3]), timeout))
        return p.returncode, p.stdout

    @staticmethod
    def collect(fd, proc, deadline, stop=None, before=b""):
        """Reads fd until proc has ended, or until stop has been seen, counting what was read
        before. Returns (data, stopped)."""
        data = b""
        if stop and stop in before:
            return data, True
        while True:
            done = proc.poll() is not None
            while select.select([fd], [], [], 0 if done else 0.05)[0]:
                chunk = os.read(fd, 65536)
                if not chunk:
                    done = True
                    break
                data += chunk
                if stop and stop in before + data:
                    return data, True
                if len(data) > 1 << 24:
                    raise Failure("endless output")
            if done and proc.poll() is not None:
                return data, False
            if done:
                time.sleep(0.01)
            if time.monotonic() > deadline:
                raise Failure("timeout, after output %r" % data[-200:])

    def run_plain(self, argv, timeout, extra=None, user=None, root=None, ident=None):
        mark = "%s-%d" % (self.token, self.fresh())
        r, w = os.pipe()
        with tempfile.TemporaryFile(dir=self.tmp) as err:
            proc = self.spawn(argv, mark, subprocess.DEVNULL, w, err, extra, user)
            os.close(w)
            try:
                out, _ = self.collect(r, proc, time.monotonic() + timeout)
            except Failure as e:
                self.kill(proc, mark)
                if ident:
                    self.cli(root, ["delete", "--force", ident], 20)
                raise Failure("%s; stderr: %s" % (e, self.tail(err)))
            finally:
                os.close(r)
            return Result(proc.returncode, out, self.tail(err))

    @staticmethod
    def tail(f, lines=6):
        f.seek(0)
        text = f.read().decode("utf-8", "replace").strip().split("\n")
        return " | ".join(line for line in text[-lines:] if line)

    # Files of the host that a program changes: really so natively, in the overlay in a sandbox.

    def data(self, prog, user=None):
        """A fresh tree for the programs that want one, and its environment."""
        if not os.path.basename(prog).startswith("guest_file_overlay"):
            return None, {}
        top = os.path.join(self.tmp, "data%d" % self.fresh())
        os.makedirs(os.path.join(top, "dir", "sub"))
        os.makedirs(os.path.join(top, "empty"))
        for i in range(20):
            with open(os.path.join(top, "dir", "file%d" % i), "w") as f:
                f.write("contents of file %d\n" % i * (i + 1))
        for name, size in (("small", 10), ("large", 300000), ("dir/sub/deep", 5000)):
            with open(os.path.join(top, name), "wb") as f:
                f.write(bytes((i * 7 + i // 251) & 255 for i in range(size)))
        os.symlink("small", os.path.join(top, "link"))
        os.symlink("dir/sub", os.path.join(top, "dirlink"))
        os.link(os.path.join(top, "small"), os.path.join(top, "hardlink"))
        os.chmod(os.path.join(top, "large"), 0o640)
        if user is not None:
            for folder, dirs, files in os.walk(top):
                for name in [folder] + [os.path.join(folder, n) for n in dirs + files]:
                    os.chown(name, user, user, follow_symlinks=False)
        return top, {"GUEST_DATA": top}

    @staticmethod
    def snapshot(top):
        state = []
        for folder, dirs, files in os.walk(top):
            for name in sorted(dirs + files):
                path = os.path.join(folder, name)
                st = os.lstat(path)
                text = b""
                if os.path.islink(path):
                    text = os.readlink(path).encode()
                elif os.path.isfile(path):
                    with open(path, "rb") as f:
                        text = f.read()
                state.append((path, st.st_mode, st.st_uid, st.st_mtime_ns, text))
        return sorted(state)

    # Modes

    def native(self, prog, user=None):
        top, extra = self.data(prog, user)
        if user is not None:
            extra["GUEST_TMP"] = os.path.join(self.tmp, "user")
        try:
            return self.run_plain([prog], self.args.timeout, extra=extra, user=user)
        finally:
            if top:
                shutil.rmtree(top, ignore_errors=True)

    def untouched(self, prog, run):
        """run(environment) in a sandbox; the host's files must be as before."""
        top, extra = self.data(prog)
        if not top:
            return run(extra)
        before = self.snapshot(top)
        try:
            result = run(extra)
            if self.snapshot(top) != before:
                raise Failure("the sandbox changed files of the host")
            return result
        finally:
            shutil.rmtree(top, ignore_errors=True)

    def sandboxed(self, prog, platform, autosave, extra):
        n = self.fresh()
        ident = "guest%d" % n
        root = os.path.join(self.tmp, "root%d" % n)
        argv = [self.args.stasis, "--root", root, "--platform", platform, "do", "--name", ident]
        timeout = self.args.timeout
        if autosave:
            # Loads and rewritten code must get along, so everything that can is rewritten.
            argv[3:3] = ["--rewrite", "1"]
            argv += ["--autosave", autosave]
            timeout *= 4
        try:
            return self.run_plain(argv + ["--"] + listed(prog), timeout, extra=extra, root=root,
                                  ident=ident)
        finally:
            shutil.rmtree(root, ignore_errors=True)

    def cross(self, prog, a, b, point, extra):
        """Runs on a; at the marked point (or at "all") checkpoints and restores on the other."""
        n = self.fresh()
        mark = "%s-%d" % (self.token, n)
        base = os.path.join(self.tmp, "cross%d" % n)
        root = os.path.join(base, "root")
        os.makedirs(root)
        deadline = time.monotonic() + 2 * self.args.timeout
        r, w = os.pipe()
        in_r, in_w = os.pipe()
        ident, images, proc, out = "guest%d" % n, 0, None, b""
        with tempfile.TemporaryFile(dir=self.tmp) as err:
            try:
                proc = self.spawn([self.args.stasis, "--root", root, "--platform", a, "do",
                                   "--name", ident, "--"] + listed(prog),
                                  mark, in_r, w, err, dict(extra, GUEST_CROSS=str(point)))
                while True:
                    more, stopped = self.collect(r, proc, deadline, MARK, out)
                    out += more
                    if not stopped:
                        break
                    out = out.replace(MARK, b"", 1)
                    a, b = b, a
                    self.known(root, ident, proc, deadline)
                    ident = self.move(root, base, ident, images, mark, proc)
                    images += 1
                    os.close(in_r)
                    os.close(in_w)
                    in_r, in_w = os.pipe()
                    os.write(in_w, b"\n")
                    image = os.path.join(base, "image%d" % (images - 1))
                    proc = self.spawn([self.args.stasis, "--root", root, "--platform", a,
                                       "restore", "--image-path", image, ident],
                                      mark, in_r, w, err)
                    deadline = time.monotonic() + 2 * self.args.timeout
                if not images:
                    raise Failure("no marked point reached, exit status %s, output %r"
                                  % (proc.returncode, out[-200:]))
                return Result(proc.returncode, out, self.tail(err))
            except Failure as e:
                if proc:
                    self.kill(proc, mark)
                self.cli(root, ["delete", "--force", ident], 20)
                raise Failure("after %d images: %s; stderr: %s" % (images, e, self.tail(err)))
            finally:
                for fd in (r, w, in_r, in_w):
                    os.close(fd)
                if not self.args.keep:
                    shutil.rmtree(base, ignore_errors=True)

    def compression(self, number):
        """How the image of that number is stored."""
        return "none"

    def known(self, root, ident, proc, deadline):
        """Waits until the container of that name runs: the mark may have come from an earlier one."""
        while proc.poll() is None:
            status, text = self.cli(root, ["state", ident], 20)
            if status == 0 and b'"creating"' not in text:
                return
            if time.monotonic() > deadline:
                raise Failure("no container %s" % ident)
            time.sleep(0.02)

    def move(self, root, base, ident, number, mark, proc):
        """Checkpoints ident into the image of that number; returns the next id."""
        image = os.path.join(base, "image%d" % number)
        status, text = self.cli(root, ["checkpoint", "--image-path", image, "--compression",
                                       self.compression(number), ident], 60)
        if status:
            raise Failure("checkpoint: status %d: %s" % (status, text.decode().strip()))
        self.finish(proc, mark)
        if self.args.verify:
            status, text = self.cli(root, ["image", "verify", image], 60)
            if status:
                raise Failure("image verify: %s" % text.decode().strip())
        if number and not self.args.keep:
            shutil.rmtree(os.path.join(base, "image%d" % (number - 1)), ignore_errors=True)
        return "%s.%d" % (ident.partition(".")[0], number)

    def finish(self, proc, mark):
        try:
            proc.wait(20)
        except subprocess.TimeoutExpired:
            self.kill(proc, mark)
            raise Failure("the checkpointed sandbox did not end")

    @staticmethod
    def as_skipped(oracle, out):
        """out, with the cases left out that this host does not let the oracle run."""
        skipped = set(re.findall(rb"^skip (\S+)$", oracle, re.M))
        if not skipped:
            return out
        lines = [b"skip " + line[3:] if line[:3] == b"ok " and line[3:] in skipped else line
                 for line in out.split(b"\n")]
        points = [line for line in oracle.split(b"\n") if line.startswith(b"marked points")]
        return b"\n".join(points[0] if points and line.startswith(b"marked points") else line
                          for line in lines)

    def compare(self, oracle, got, where=""):
        got = Result(got.status, self.as_skipped(oracle.out, got.out), got.err)
        if oracle.status == got.status and oracle.out == got.out:
            return
        reason = where
        if oracle.status != got.status:
            reason += "exit status %s, not %s; " % (got.status, oracle.status)
        want = oracle.out.decode("utf-8", "replace").splitlines()
        have = got.out.decode("utf-8", "replace").splitlines()
        diff = [line for line in difflib.unified_diff(want, have, n=0, lineterm="")
                if not line.startswith(("---", "+++", "@@"))]
        raise Failure("%s%s%s; stderr: %s" % (reason, " ".join(diff[:8]),
                                              " ..." if len(diff) > 8 else "", got.err))

    def one(self, prog, mode, oracle):
        """Returns "pass" or a reason to skip; raises Failure."""
        if mode == "native":
            if oracle.status != 0:
                raise Failure("exit status %d: %s; stderr: %s"
                              % (oracle.status, oracle.out.decode(), oracle.err))
            return "pass"
        if mode == "native-user":
            if os.geteuid() != 0:
                return "not root"
            got = self.native(prog, 65534)
            if got.status != 0:
                raise Failure("exit status %d: %s; stderr: %s"
                              % (got.status, got.out.decode(), got.err))
            return "pass"
        if not os.access(self.args.stasis, os.X_OK):
            return "no stasis binary"
        points = 0
        m = re.search(rb"^marked points (\d+)$", oracle.out, re.M)
        if m:
            points = int(m.group(1))
        if mode.startswith(("cross:", "crossall:")):
            kind, a, b = mode.split(":")
            if not points:
                return "no marked point"
            for point in pick(points, self.args.cross_points) if kind == "cross" else ["all"]:
                got = self.untouched(prog, lambda env: self.cross(prog, a, b, point, env))
                self.compare(oracle, got, "point %s: " % point)
            return "pass"
        platform, _, what = mode.partition("-")
        if what == "save":
            if not points:
                return "no marked point"
            what = "autosaverequest"
        if what and not what.startswith("autosave"):
            raise SystemExit("run_guest.py: unknown mode %s" % mode)
        autosave = what[len("autosave"):]
        self.compare(oracle, self.untouched(
            prog, lambda env: self.sandboxed(prog, platform, autosave, env)))
        return "pass"


def listed(prog):
    return prog if isinstance(prog, list) else [prog]


def pick(points, wanted):
    """wanted of 1..points, evenly spread, the first among them."""
    if points <= wanted:
        return list(range(1, points + 1))
    if wanted == 1:
        return [1]
    return sorted({1 + i * (points - 1) // (wanted - 1) for i in range(wanted)})


def expand_modes(text):
    modes = []
    for m in text.split(","):
        if m == "cross":
            modes += ["cross:systrap:ptrace", "cross:ptrace:systrap"]
        elif m.startswith("autosave"):
            modes.append("systrap-" + m)
        elif m:
            modes.append(m)
    return modes


def find_stasis(args):
    if args.stasis:
        return os.path.abspath(args.stasis)
    path = os.path.join(os.path.abspath(args.build), "stasis")
    return path if os.path.exists(path) else os.path.join(args.build, "cli", "stasis")


def stand_apart():
    """What the tests leave behind becomes our child, so that leftovers() finds it, or ends with us."""
    libc = ctypes.CDLL(None)
    libc.prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
    # What a killed native run leaves behind of queues and shared memory ends with this process, and
    # what the host has of them is no part of the oracle. The same of its name.
    if os.geteuid() == 0:
        libc.unshare(CLONE_NEWIPC | CLONE_NEWUTS)


def own_children():
    kids = []
    for name in os.listdir("/proc"):
        if not name.isdigit():
            continue
        try:
            with open("/proc/%s/stat" % name) as f:
                rest = f.read().rpartition(")")[2].split()
        except OSError:
            continue
        if rest[0] != "Z" and int(rest[1]) == os.getpid():
            kids.append(int(name))
    return kids


def leftovers():
    """Processes that outlived their tests: they were reparented to us. Ends and names them."""
    for _ in range(20):
        kids = own_children()
        if not kids:
            return []
        time.sleep(0.1)
    names = []
    for pid in kids:
        try:
            with open("/proc/%d/cmdline" % pid, "rb") as f:
                names.append(f.read().replace(b"\0", b" ").decode("utf-8", "replace").strip())
            os.kill(pid, signal.SIGKILL)
        except OSError:
            pass
    return names


def main():
    top = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
    p = argparse.ArgumentParser(description=__doc__,
                                formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--build", default=os.path.join(top, "build"))
    p.add_argument("--stasis", help="default: BUILD/stasis, or BUILD/cli/stasis")
    p.add_argument("--modes", default=DEFAULT_MODES, help="default: %(default)s")
    p.add_argument("--jobs", type=int, default=os.cpu_count() or 1)
    p.add_argument("--filter", action="append", help="glob over program names; may be repeated")
    p.add_argument("--timeout", type=float, default=60, help="seconds per run")
    p.add_argument("--cross-points", type=int, default=2, help="points per program in cross modes")
    p.add_argument("--verify", action="store_true", help="image verify in cross modes")
    p.add_argument("--keep", action="store_true", help="keep the images of cross modes")
    p.add_argument("--json", metavar="FILE", help="write a summary of the failures")
    p.add_argument("--verbose", action="store_true", help="one line per test")
    args = p.parse_args()
    args.build = os.path.abspath(args.build)
    args.stasis = find_stasis(args)
    modes = expand_modes(args.modes)

    where = os.path.join(args.build, "tests", "guest")
    names = sorted(n for n in os.listdir(where) if n.startswith("guest_")
                   and os.path.isfile(os.path.join(where, n))
                   and os.access(os.path.join(where, n), os.X_OK))
    if args.filter:
        names = [n for n in names if any(fnmatch.fnmatch(n, f) or fnmatch.fnmatch(n[6:], f)
                                         for f in args.filter)]
    if not names:
        print("run_guest.py: no program in %s" % where, file=sys.stderr)
        return 1

    stand_apart()
    runner = Runner(args)
    if os.geteuid() == 0:
        os.mkdir(os.path.join(runner.tmp, "user"))
        os.chown(os.path.join(runner.tmp, "user"), 65534, 65534)
    passed, skipped, failed = 0, 0, []
    print_lock = threading.Lock()

    def program(name):
        tests = []
        prog = os.path.join(where, name)
        try:
            oracle = runner.native(prog)
        except Failure as e:
            return [(name, "native", str(e), 0.0)]
        for mode in modes:
            start = time.monotonic()
            try:
                what = runner.one(prog, mode, oracle)
            except Failure as e:
                what = str(e)
                with print_lock:
                    print("FAIL %s %s: %s" % (name, mode, what), flush=True)
                what = "fail: " + what
            tests.append((name, mode, what, time.monotonic() - start))
            if args.verbose:
                with print_lock:
                    print("%s %s: %s (%.2f s)" % ((name, mode, what, tests[-1][3])), flush=True)
        return tests

    try:
        with concurrent.futures.ThreadPoolExecutor(args.jobs) as pool:
            for tests in pool.map(program, names):
                for name, mode, what, _ in tests:
                    if what == "pass":
                        passed += 1
                    elif what.startswith("fail: "):
                        failed.append({"program": name, "mode": mode, "reason": what[6:]})
                    else:
                        if mode == "native":
                            print("FAIL %s native: %s" % (name, what), flush=True)
                            failed.append({"program": name, "mode": mode, "reason": what})
                        else:
                            skipped += 1
        left = leftovers()
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
