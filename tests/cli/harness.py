"""What the command line tests share: running the command, finding its processes, counting tests."""

import argparse
import json
import os
import re
import select
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import traceback


class Skip(Exception):
    pass


def expect(cond, what):
    if not cond:
        raise AssertionError(what)


class Result:
    def __init__(self, status, out, err):
        self.status = status
        self.out = out
        self.err = err

    def __repr__(self):
        return "status %s, stdout %r, stderr %r" % (self.status, self.out[-300:], self.err[-300:])


class Sandboxes:
    """A state directory of its own, and a scratch directory; everything is gone after close()."""

    def __init__(self, stasis, platform="systrap"):
        self.stasis = os.path.abspath(stasis)
        self.platform = platform
        self.tmp = tempfile.mkdtemp(prefix="stasis-cli.")
        os.chmod(self.tmp, 0o755)
        self.root = os.path.join(self.tmp, "root")
        self.count = 0
        self.procs = []

    def fresh(self):
        self.count += 1
        return "t%d-%d" % (os.getpid(), self.count)

    def path(self, name):
        return os.path.join(self.tmp, name)

    def argv(self, args, platform=None):
        return [self.stasis, "--root", self.root, "--platform", platform or self.platform] + \
            list(args)

    def run(self, *args, timeout=60, platform=None, **kw):
        kw.setdefault("stdin", subprocess.DEVNULL)
        p = subprocess.run(self.argv(args, platform), stdout=subprocess.PIPE,
                           stderr=subprocess.PIPE, timeout=timeout, **kw)
        return Result(p.returncode, p.stdout.decode("utf-8", "replace"),
                      p.stderr.decode("utf-8", "replace"))

    def ok(self, *args, **kw):
        r = self.run(*args, **kw)
        expect(r.status == 0, "%s: %r" % (" ".join(args[:6]), r))
        return r

    def fails(self, status, *args, contains=None, **kw):
        """The command must fail with exactly one line."""
        r = self.run(*args, **kw)
        one_line(r, status, contains)
        return r

    def start(self, *args, platform=None, **kw):
        """Starts it in the background; stdout and stderr are pipes unless given."""
        kw.setdefault("stdin", subprocess.DEVNULL)
        kw.setdefault("stdout", subprocess.PIPE)
        kw.setdefault("stderr", subprocess.PIPE)
        p = subprocess.Popen(self.argv(args, platform), **kw)
        self.procs.append(p)
        return p

    def start_do(self, ident, script, platform=None, **kw):
        """A shell script in a sandbox that has printed "ready" when this returns."""
        p = self.start("do", "--name", ident, "--", "sh", "-c", "echo ready; " + script,
                       platform=platform, bufsize=0, **kw)
        line = p.stdout.readline()
        if line != b"ready\n":
            p.kill()
            raise AssertionError("no start: %r %r" % (line, p.stderr.read()))
        return p

    def state(self, ident):
        return json.loads(self.ok("state", ident).out)

    def processes(self, ident):
        """(pid, verb) of the container's sentry and gofer."""
        found = []
        for pid in pids():
            words = cmdline(pid)
            if len(words) >= 3 and words[1] in ("boot", "gofer") and words[2] == ident:
                found.append((pid, words[1]))
        return found

    def gone(self, ident, timeout=60):
        """All processes and files of the container are gone, soon."""
        deadline = time.monotonic() + timeout
        while True:
            left = [verb for _, verb in self.processes(ident)]
            if os.path.exists(os.path.join(self.root, ident)):
                left.append("state directory")
            if not left:
                return
            if time.monotonic() > deadline:
                raise AssertionError("left behind: %s" % ", ".join(left))
            time.sleep(0.02)

    def close(self):
        for p in self.procs:
            if p.poll() is None:
                p.kill()
            p.wait()
            for f in (p.stdin, p.stdout, p.stderr):
                if f:
                    f.close()
        if os.path.isdir(self.root):
            for ident in os.listdir(self.root):
                if ident != ".lock":
                    self.run("delete", "--force", ident)
        shutil.rmtree(self.tmp, ignore_errors=True)


def one_line(r, status, contains=None):
    expect(r.status == status, "status %d wanted: %r" % (status, r))
    expect(r.err.startswith("stasis: ") and r.err.count("\n") == 1 and r.err.endswith("\n"),
           "one line wanted: %r" % r)
    expect("died" not in r.err or contains == "died" or "without an exit" in r.err,
           "a crash: %r" % r)
    if contains:
        expect(contains in r.err, "%r wanted in %r" % (contains, r.err))


def read_until(f, word, timeout=60):
    """Reads f, a pipe, until the word has come; returns what came."""
    data = b""
    deadline = time.monotonic() + timeout
    while word not in data:
        left = deadline - time.monotonic()
        if left <= 0 or not select.select([f], [], [], left)[0]:
            raise AssertionError("waited in vain for %r after %r" % (word, data[-200:]))
        chunk = os.read(f.fileno(), 65536)
        if not chunk:
            raise AssertionError("end before %r after %r" % (word, data[-200:]))
        data += chunk
    return data


def pids():
    return [int(p) for p in os.listdir("/proc") if p.isdigit()]


def cmdline(pid):
    try:
        with open("/proc/%d/cmdline" % pid, "rb") as f:
            return [w.decode("utf-8", "replace") for w in f.read().split(b"\0")]
    except OSError:
        return []


def children(pid):
    found = []
    for p in pids():
        try:
            with open("/proc/%d/stat" % p) as f:
                if int(f.read().rpartition(")")[2].split()[1]) == pid:
                    found.append(p)
        except OSError:
            pass
    return found


def descendants(pid):
    found = []
    for c in children(pid):
        found += [c] + descendants(c)
    return found


def wait_for(cond, what, timeout=60):
    deadline = time.monotonic() + timeout
    while not cond():
        if time.monotonic() > deadline:
            raise AssertionError("waited in vain for " + what)
        time.sleep(0.02)


def main(tests):
    """tests: functions of one argument, a Sandboxes. Runs those whose names match."""
    # Whoever runs us may ignore some (nohup, a shell's &), and what we start would, too.
    signal.signal(signal.SIGHUP, signal.SIG_DFL)
    signal.signal(signal.SIGQUIT, signal.SIG_DFL)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    ap = argparse.ArgumentParser()
    ap.add_argument("--stasis", default="build/stasis")
    ap.add_argument("--platform", default="systrap")
    ap.add_argument("--filter", default="")
    args = ap.parse_args()
    passed = failed = skipped = 0
    for t in tests:
        if not re.search(args.filter, t.__name__):
            continue
        s = Sandboxes(args.stasis, args.platform)
        try:
            t(s)
            passed += 1
        except Skip as e:
            skipped += 1
            print("SKIP %s: %s" % (t.__name__, e))
        except Exception as e:
            failed += 1
            where = traceback.extract_tb(e.__traceback__)
            lines = [f.lineno for f in where if f.filename == sys.modules["__main__"].__file__]
            print("FAIL %s (line %s): %s" % (t.__name__, lines[-1] if lines else "?", e))
        finally:
            s.close()
        sys.stdout.flush()
    print("%d passed, %d failed, %d skipped" % (passed, failed, skipped))
    return 1 if failed else 0
