#!/usr/bin/env python3
"""Guests that take all they can get: they exhaust only themselves. While each of them holds on to
what it got, the control commands answer, others run, and a checkpoint works or says why not; then
nothing is left on the host."""

import os
import re
import shutil
import subprocess
import sys
import threading
import time

from harness import Sandboxes, descendants, expect, main, read_until, wait_for

BOMB = None  # built beside stasis
MEMORY = "96M"
MIB = 1 << 20


def host_available():
    with open("/proc/meminfo") as f:
        return int(re.search(r"MemAvailable: *(\d+)", f.read()).group(1)) << 10


def status_of(pid):
    with open("/proc/%d/status" % pid) as f:
        return {k: v.strip() for k, _, v in (l.partition(":") for l in f)}


class Guard:
    """If a bound fails, the machine is everybody's: the sandbox is ended before it hurts."""

    def __init__(self, sentry, most):
        self.sentry, self.most, self.hit = sentry, most, None
        self.stop = threading.Event()
        self.thread = threading.Thread(target=self.watch)
        self.thread.start()

    def watch(self):
        while not self.stop.wait(0.05):
            try:
                anon = int(status_of(self.sentry)["RssAnon"].split()[0]) << 10
            except (OSError, KeyError):
                return
            if anon > self.most or host_available() < 512 * MIB:
                self.hit = "the sentry has %d MiB" % (anon // MIB)
                os.kill(self.sentry, 9)
                return

    def end(self):
        self.stop.set()
        self.thread.join()
        expect(self.hit is None, "stopped by the guard: %s" % self.hit)


class Bomb:
    """A bomb that has gone off, in a sandbox that runs on."""

    def __init__(self, s, kind, count, *flags, rss=400 * MIB):
        self.s, self.kind = s, kind
        self.ident = s.fresh()
        self.p = s.start("do", "--name", self.ident, "--pids", "700", *flags, "--", "sh", "-c",
                         "echo ready; mkdir /tmp/b; %s %s %d /tmp/b & wait" % (BOMB, kind, count))
        read_until(self.p.stdout, b"ready\n")
        self.sentry = [p for p, verb in s.processes(self.ident) if verb == "boot"][0]
        self.guard = Guard(self.sentry, rss)
        text = b""
        while b"\n" not in text:
            text += read_until(self.p.stdout, b"\n", timeout=120)
        m = re.match(rb"armed (\d+) (\w+)\n", text)
        expect(m, "%r" % text)
        self.count, self.why = int(m.group(1)), m.group(2).decode()

    def calm(self, run=True):
        """Everything from outside still works."""
        s, ident = self.s, self.ident
        expect(s.state(ident)["status"] == "running", "state")
        expect("bomb" in s.ok("ps", ident, timeout=60).out, "ps")
        if run:
            s.ok("exec", ident, "true", timeout=60)
        image = s.path("image-" + ident)
        r = s.run("checkpoint", "--leave-running", "--image-path", image, ident, timeout=120)
        if r.status != 0:
            expect(r.err.startswith("stasis: ") and r.err.count("\n") == 1, "%r" % r)
            expect(not os.path.exists(image), "half an image")
        expect(s.state(ident)["status"] == "running", "it runs on")
        expect("bomb" in s.ok("ps", ident, timeout=60).out, "ps after the checkpoint")
        if r.status == 0:
            self.there(image)
        return r.status == 0

    def there(self, image):
        """What was saved is worth something: it lives, on the other platform."""
        s, other = self.s, self.s.fresh()
        platform = "ptrace" if s.platform == "systrap" else "systrap"
        p = s.start("restore", "--image-path", image, other, platform=platform,
                    stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        wait_for(lambda: '"running"' in s.run("state", other).out, "the restored")
        expect("bomb" in s.ok("ps", other, timeout=60).out, "ps of the restored")
        s.ok("delete", "--force", other, timeout=60)
        p.wait(60)
        s.gone(other)
        shutil.rmtree(image)

    def end(self, command="kill"):
        s, ident = self.s, self.ident
        stubs = descendants(self.sentry)
        if command == "kill":
            s.ok("kill", ident, "KILL")
        else:
            s.ok("delete", "--force", ident, timeout=60)
        expect(self.p.wait(60) in (137, 1), "%r" % self.p.returncode)
        self.guard.end()
        s.gone(ident, timeout=30)
        wait_for(lambda: not any(os.path.exists("/proc/%d/stat" % p) for p in stubs),
                 "stubs to end", timeout=30)


def went_off(s, kind, count, why, *flags, least=1, run=True, end="kill", **kw):
    b = Bomb(s, kind, count, *flags, **kw)
    expect(b.why == why and b.count >= least, "%s: %d, %s" % (kind, b.count, b.why))
    saved = b.calm(run)
    b.end(end)
    return saved


# ---- tasks ----

def fork_bomb(s):
    went_off(s, "fork", 5000, "EAGAIN", least=500)


def thread_bomb(s):
    went_off(s, "thread", 5000, "EAGAIN", least=500)


def fork_of_all(s):
    """Each child forks in turn, until there are no pids; then everything from outside works."""
    b = Bomb(s, "breed", 5000, "--pids", "250")
    b.calm(run=False)
    b.end("delete")


def few_descriptors_of_the_host(s):
    """The sentry itself may have only 600: processes are refused, its control is not."""
    code = ("import resource, os, sys; resource.setrlimit(resource.RLIMIT_NOFILE, (600, 600)); "
            "os.execv(sys.argv[1], sys.argv[1:])")
    ident = s.fresh()
    p = subprocess.Popen([sys.executable, "-c", code] +
                         s.argv(["do", "--name", ident, "--pids", "3000", "--", BOMB, "fork",
                                 "3000", "/tmp"]), stdout=subprocess.PIPE,
                         stdin=subprocess.DEVNULL)
    s.procs.append(p)
    line = read_until(p.stdout, b"\n", timeout=120)
    m = re.match(rb"armed (\d+) EAGAIN", line)
    expect(m and int(m.group(1)) >= 100, "%r" % line)
    expect(s.state(ident)["status"] == "running", "state")
    s.ok("exec", ident, "true")
    s.ok("kill", ident, "KILL")
    expect(p.wait(60) == 137, "%r" % p.returncode)
    s.gone(ident, timeout=30)


# ---- descriptors and what is behind them ----

def descriptors(kind, count=40000):
    def test(s):
        b = Bomb(s, kind, count)
        expect(b.why in ("EMFILE", "ENFILE", "bound") and b.count > 5000, "%d %s" %
               (b.count, b.why))
        expect(b.calm(), "the checkpoint of plain objects works")
        b.end()
    test.__name__ = kind + "_bomb"
    return test


def pty_bomb(s):
    went_off(s, "pty", 20000, "ENOSPC", least=1000)


def inotify_bomb(s):
    went_off(s, "inotify", 1000, "EMFILE", least=100)


def watch_bomb(s):
    went_off(s, "watch", 200000, "ENOSPC", least=1000)


def descriptors_in_flight(s):
    b = Bomb(s, "flight", 30000)
    b.calm()
    b.end()


def unread_sockets(s):
    """Nobody reads: all queues together are bounded."""
    b = Bomb(s, "unread", 100000, rss=800 * MIB)
    expect(b.why != "bound", "%d writes of 64 KiB were taken" % b.count)
    b.calm()
    b.end()


def unread_pty(s):
    b = Bomb(s, "silent", 100000)
    expect(b.why == "EAGAIN" and b.count < 100, "%d %s" % (b.count, b.why))
    b.calm()
    b.end()


# ---- queues and timers ----

def timer_bomb(s):
    went_off(s, "timer", 100000, "EAGAIN", least=20000)


def firing_timers(s):
    """Thousands that fire all the time keep nobody else from working."""
    went_off(s, "firing", 5000, "bound")


def signal_bomb(s):
    went_off(s, "signal", 200000, "EAGAIN", least=1000)


# ---- memory ----

def map_bomb(s):
    went_off(s, "map", 200000, "ENOMEM", least=60000)


def hog_alone(s):
    """The only process is the victim: the sandbox ends as one that was killed."""
    r = s.run("do", "--memory", "64M", "--", BOMB, "hog", "1000", "/tmp", timeout=60)
    expect(r.status == 137, "%r" % r)


def victim_is_the_hog(s):
    """The shell, its sleepers and an exec'ed process go on when the hog is ended."""
    log = s.path("log")
    ident = s.fresh()
    p = s.start("do", "--name", ident, "--memory", MEMORY, "--", "sh", "-c",
                "sleep 1000 & echo ready; read x; %s hog 1000 /tmp; echo hog $?; "
                "kill -0 $! && echo sleeper lives; read x; exit 5" % BOMB, stdin=-1)
    read_until(p.stdout, b"ready\n")
    p.stdin.write(b"\n")
    p.stdin.flush()
    text = read_until(p.stdout, b"lives\n", timeout=60)
    expect(b"hog 137" in text, "%r" % text)
    s.ok("exec", ident, "true")
    r = s.ok("events", "--stats", ident)
    expect('"oom_kills":1' in r.out and '"limit":%d' % (96 * MIB) in r.out, r.out[:300])
    p.stdin.write(b"\n")
    p.stdin.close()
    p.stdin = None
    expect(p.wait(30) == 5, "%r" % p.returncode)


def victim_by_score(s):
    """Who asked to be the first to go goes first, and who may not go stays."""
    r = s.ok("do", "--memory", MEMORY, "--", "sh", "-c",
             "(echo 1000 >/proc/self/oom_score_adj; exec sleep 1000) & v=$!; sleep 0.2; "
             "[ $(cat /proc/$v/oom_score) -gt $(cat /proc/self/oom_score) ] || echo score; "
             "%s hog 1000 /tmp & h=$!; wait $v; echo first $?; wait $h; echo hog $?" % BOMB,
             timeout=60)
    expect(r.out.split("\n")[-3:] == ["first 137", "hog 137", ""], r.out)


def sparse_hog(s):
    """Touches that the sentry does not see are held to the limit as well."""
    b = Bomb(s, "sparse", 1 << 20, "--memory", MEMORY)
    expect(b.why == "SIGKILL" and b.count == 1, "%d %s" % (b.count, b.why))
    b.calm()
    b.end()


def limit_is_told(s):
    r = s.ok("do", "--memory", "256M", "--", "sh", "-c",
             "grep MemTotal /proc/meminfo; free -b | sed -n 2p; cat /proc/sys/kernel/threads-max",
             timeout=60)
    expect("262144 kB" in r.out and str(256 * MIB) in r.out, r.out)


def filler(s):
    """A full file system is an error to the writer; nobody dies of it."""
    b = Bomb(s, "fill", 1000, "--memory", MEMORY)
    expect(b.why == "ENOSPC" and b.count >= 30, "%d %s" % (b.count, b.why))
    expect(b.calm(), "checkpoint")
    expect('"oom_kills":0' in s.ok("events", "--stats", b.ident).out, "somebody was ended")
    b.end()


def heap(kind, count, why):
    """What only the sentry remembers counts as well."""
    def test(s):
        b = Bomb(s, kind, count, "--memory", "48M")
        expect(b.why in why, "%s: %d %s" % (kind, b.count, b.why))
        anon = int(status_of(b.sentry)["RssAnon"].split()[0]) << 10
        expect(anon < 64 * MIB, "the sentry's heap is %d MiB" % (anon // MIB))
        b.calm(run=False)
        b.end("delete")
    test.__name__ = "heap_of_" + kind
    return test


def limits_travel(s):
    """The image remembers the limits; restore may give others."""
    ident, image = s.fresh(), s.path("image-limits")
    p = s.start("do", "--name", ident, "--memory", "128M", "--pids", "77", "--", "sh", "-c",
                "echo ready; sleep 1000")
    read_until(p.stdout, b"ready\n")
    s.ok("checkpoint", "--image-path", image, ident)
    p.wait(30)
    for flags, memory, pids in (((), 128, 77), (("--memory", "200M", "--pids", "55"), 200, 55)):
        other = s.fresh()
        q = s.start("restore", "--image-path", image, *flags, other)
        wait_for(lambda: '"running"' in s.run("state", other).out, "the restored")
        r = s.ok("exec", other, "cat", "/proc/meminfo", "/proc/sys/kernel/threads-max")
        expect("%d kB" % (memory << 10) in r.out and r.out.endswith("\n%d\n" % pids), r.out)
        s.ok("kill", other, "KILL")
        q.wait(30)


def bad_limits(s):
    for flag, value in (("--memory", "x"), ("--memory", "1K"), ("--memory", "5Q"),
                        ("--memory", "-1"), ("--pids", "0"), ("--pids", "many")):
        s.fails(2, "do", flag, value, "--", "true", contains=value)


# ---- names ----

def deep_directory(s):
    went_off(s, "deep", 20000, "bound")


def names(s):
    """What is too long, too deep or circular is an errno, as natively."""
    script = ("cd /tmp; ln -s a b; ln -s b a; cat a; ln -s / l0; "
              "for i in 1 2 3 4 5 6 7 8 9; do ln -s l$((i-1)) l$i; done; ls -d l9/ >/dev/null; "
              "n=$(printf %300s | tr ' ' x); touch $n; mkdir -p $(printf 'x/%.0s' $(seq 3000)); "
              "true $(seq 1000000) ; /bin/true $(printf %200000s | tr ' ' x); echo end")
    r = s.ok("do", "--", "sh", "-c", script, timeout=60)
    for what in ("Too many levels of symbolic links", "File name too long",
                 "Argument list too long"):
        expect(what in r.err, "%r wanted in %r" % (what, r.err[-600:]))
    expect(r.out.endswith("end\n"), r.out)


TESTS = [
    fork_bomb, thread_bomb, fork_of_all, few_descriptors_of_the_host,
    descriptors("eventfd"), descriptors("pipe"), descriptors("socket"), descriptors("unix"),
    descriptors("epoll"), descriptors("timerfd"), descriptors("file"), descriptors("hostfile"),
    pty_bomb, inotify_bomb, watch_bomb, descriptors_in_flight, unread_sockets, unread_pty,
    timer_bomb, firing_timers, signal_bomb,
    map_bomb, hog_alone, victim_is_the_hog, victim_by_score, sparse_hog, limit_is_told, filler,
    heap("socket", 200000, ("ENOMEM", "EMFILE")), heap("xattr", 100000, ("ENOMEM", "ENOSPC")),
    heap("watch", 300000, ("ENOMEM", "ENOSPC")), heap("deep", 300000, ("ENOMEM", "ENOSPC")),
    heap("pipedata", 100000, ("ENOMEM", "EMFILE")), heap("stuffed", 4000, ("ENOMEM",)),
    heap("unread", 100000, ("EMFILE", "ENFILE", "ENOMEM", "bound")),
    limits_travel, bad_limits, deep_directory, names,
]

if __name__ == "__main__":
    for arg, value in zip(sys.argv, sys.argv[1:]):
        if arg == "--stasis":
            BOMB = os.path.join(os.path.dirname(os.path.abspath(value)), "tests", "cli", "bomb")
    if BOMB is None:
        BOMB = os.path.abspath("build/tests/cli/bomb")
    sys.exit(main(TESTS))
