#!/usr/bin/env python3
"""Nothing of a sandbox is left on the host, whichever of its processes is killed."""

import os
import signal
import subprocess
import sys
import time

from harness import Skip, descendants, expect, main, pids, wait_for


def namespaces():
    found = set()
    for pid in pids():
        for kind in ("user", "mnt", "pid", "net", "ipc", "uts", "cgroup"):
            try:
                found.add(os.readlink("/proc/%d/ns/%s" % (pid, kind)))
            except OSError:
                pass
    return found


def host(s):
    with open("/proc/self/mountinfo") as f:
        mounts = len(f.read().splitlines())
    return {"mounts": mounts, "shm": sorted(os.listdir("/dev/shm")),
            "root": sorted(os.listdir(s.root)) if os.path.isdir(s.root) else []}


def same_as_before(s, before, spaces):
    wait_for(lambda: not namespaces() - spaces, "namespaces to go")
    now = host(s)
    before = dict(before, root=now["root"])
    expect(now == before and now["root"] in ([], [".lock"]), "%r, before: %r" % (now, before))


def sandbox(s, ident):
    return s.start_do(ident, "sleep 100 & sleep 100 & (echo x | sleep 100) & wait")


def whoever(s, verb, status, word):
    before, spaces = host(s), namespaces()
    ident = s.fresh()
    p = sandbox(s, ident)
    procs = dict((v, pid) for pid, v in s.processes(ident))
    expect("boot" in procs and "gofer" in procs, "not found: %r" % procs)
    stubs = descendants(procs["boot"])
    if verb == "command":
        p.kill()
    elif verb == "stub":
        if not stubs:
            raise Skip("there are no stubs")
        os.kill(stubs[-1], signal.SIGKILL)
    else:
        os.kill(procs[verb], signal.SIGKILL)
    try:
        p.wait(5)
    except subprocess.TimeoutExpired:
        # The death of a stub need not be the death of all.
        expect(verb == "stub", "the command goes on")
        s.ok("delete", "--force", ident)
        p.wait(5)
    err = p.stderr.read().decode()
    if status is not None:
        expect(p.returncode == status and word in err and err.count("\n") == (1 if word else 0),
               "%r %r" % (p.returncode, err))
    s.gone(ident)
    wait_for(lambda: not [pid for pid in stubs if os.path.exists("/proc/%d" % pid)], "stubs to go")
    same_as_before(s, before, spaces)


def normal_end(s):
    before, spaces = host(s), namespaces()
    ident = s.fresh()
    s.ok("do", "--name", ident, "--", "sh", "-c", "sleep 0.1 & true")
    s.gone(ident, timeout=1)
    same_as_before(s, before, spaces)


def command_killed(s):
    whoever(s, "command", -9, "")


def sentry_killed(s):
    whoever(s, "boot", 1, "killed by signal 9")


def gofer_killed(s):
    whoever(s, "gofer", 1, "gofer")


def stub_killed(s):
    whoever(s, "stub", None, "")


def stub_template_killed(s):
    ident = s.fresh()
    p = sandbox(s, ident)
    boot = [pid for pid, v in s.processes(ident) if v == "boot"][0]
    kids = descendants(boot)
    if not kids:
        raise Skip("there are no stubs")
    for k in kids:
        try:
            os.kill(k, signal.SIGKILL)
        except OSError:
            pass
    time.sleep(0.3)
    if p.poll() is None:
        s.ok("delete", "--force", ident)
    p.wait(5)
    s.gone(ident)


def killed_while_starting(s):
    for i in range(20):
        ident = s.fresh()
        p = s.start("do", "--name", ident, "--", "sleep", "100")
        time.sleep(0.001 * i)
        p.kill()
        p.wait()
        wait_for(lambda: not s.processes(ident), "processes to go")
    # A command that dies between making the directory and starting the gofer leaves it to the
    # next one.
    s.ok("list")
    expect(sorted(os.listdir(s.root)) == [".lock"], repr(os.listdir(s.root)))


def everything_killed(s):
    ident = s.fresh()
    p = sandbox(s, ident)
    for pid, _ in s.processes(ident):
        os.kill(pid, signal.SIGSTOP)
    p.kill()
    for pid, _ in s.processes(ident):
        os.kill(pid, signal.SIGKILL)
    p.wait(5)
    wait_for(lambda: not s.processes(ident), "processes to go")
    p = s.start_do(ident, "exit 3")
    expect(p.wait(10) == 3, "the name is free again")
    s.gone(ident)


if __name__ == "__main__":
    sys.exit(main([normal_end, command_killed, sentry_killed, gofer_killed, stub_killed,
                   stub_template_killed, killed_while_starting, everything_killed]))
