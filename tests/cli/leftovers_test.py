#!/usr/bin/env python3
"""Nothing of a sandbox is left on the host, whichever of its processes is killed."""

import os
import signal
import subprocess
import sys
import time

from harness import Skip, descendants, expect, main, pids, wait_for


# Others may run programs on this machine, sandboxes too: only what is ours is looked at.

def namespaces(of):
    found = set()
    for pid in of:
        for kind in ("user", "mnt", "pid", "net", "ipc", "uts", "cgroup"):
            try:
                found.add(os.readlink("/proc/%d/ns/%s" % (pid, kind)))
            except OSError:
                pass
    return found


def stat(pid):
    """State and start time, which tells it from a later process of that number."""
    try:
        with open("/proc/%d/stat" % pid) as f:
            fields = f.read().rpartition(")")[2].split()
            return fields[0], fields[19]
    except OSError:
        return None


def inhabitants(procs):
    """(pid, start time) of all that are in a namespace of these processes but not in ours. The
    numbers of namespaces are given out again, so this is for the sandbox's life only."""
    spaces = namespaces(procs) - namespaces([os.getpid()])
    expect(spaces, "namespaces of its own")
    found = [(pid, stat(pid)) for pid in pids() if namespaces([pid]) & spaces]
    return [(pid, now[1]) for pid, now in found if now]


def nothing_left(s, members=()):
    wait_for(lambda: not [pid for pid, start in members
                          if not ended(pid) and (stat(pid) or ("", ""))[1] == start],
             "what is in its namespaces to go")
    with open("/proc/self/mountinfo") as f:
        mounts = [line for line in f if s.tmp in line]
    shm = [name for name in os.listdir("/dev/shm") if "stasis" in name]
    root = sorted(os.listdir(s.root)) if os.path.isdir(s.root) else []
    expect(not mounts and not shm and root in ([], [".lock"]), "%r" % [mounts, shm, root])


def ended(pid):
    """The process has let go of everything."""
    now = stat(pid)
    return not now or now[0] in "ZX"


def sandbox(s, ident):
    return s.start_do(ident, "sleep 100 & sleep 100 & (echo x | sleep 100) & wait")


def kill_one(of):
    try:
        os.kill(of[-1], signal.SIGKILL)
        return True
    except (IndexError, ProcessLookupError):
        return False


def whoever(s, verb, status, word):
    ident = s.fresh()
    p = sandbox(s, ident)
    procs = dict((v, pid) for pid, v in s.processes(ident))
    expect("boot" in procs and "gofer" in procs, "not found: %r" % procs)
    stubs = descendants(procs["boot"])
    members = inhabitants(list(procs.values()) + stubs)
    if verb == "command":
        p.kill()
    elif verb == "stub":
        if not stubs:
            raise Skip("there are no stubs")
        # Some of them may be about to end by themselves.
        wait_for(lambda: kill_one(descendants(procs["boot"])), "a stub to kill")
    else:
        os.kill(procs[verb], signal.SIGKILL)
    try:
        p.wait(5 if verb == "stub" else 60)
    except subprocess.TimeoutExpired:
        # The death of a stub need not be the death of all.
        expect(verb == "stub", "the command goes on")
        s.ok("delete", "--force", ident)
        p.wait(60)
    err = p.stderr.read().decode()
    if status is not None:
        expect(p.returncode == status and word in err and err.count("\n") == (1 if word else 0),
               "%r %r" % (p.returncode, err))
    s.gone(ident)
    wait_for(lambda: all(ended(pid) for pid in stubs), "stubs to go")
    nothing_left(s, members)


def status(pid):
    with open("/proc/%d/status" % pid) as f:
        return dict(line.rstrip("\n").split(":\t", 1) for line in f if ":\t" in line)


def confinement(s):
    """Whoever takes over one of our processes has no user, file or capability of the host's."""
    ident = s.fresh()
    p = sandbox(s, ident)
    procs = dict((v, pid) for pid, v in s.processes(ident))
    confined = [procs["boot"], procs["gofer"]] + descendants(procs["boot"])
    for pid in confined:
        try:
            now = status(pid)
            spaces = [os.readlink("/proc/%d/ns/%s" % (pid, kind)) for kind in
                      ("user", "mnt", "net", "ipc", "uts", "cgroup")]
        except OSError:
            continue  # a stub that has just ended
        expect(now["NoNewPrivs"] == "1", repr(now))
        if pid in procs.values():
            expect(now["Seccomp"] == "2", repr(now))
        if pid != procs["gofer"]:
            expect(int(now["CapPrm"], 16) == 0 and int(now["CapEff"], 16) == 0, repr(now))
        # The gofer's are over files, in a user namespace of its own.
        expect(not int(now["CapPrm"], 16) & ~0x1f and int(now["CapBnd"], 16) == 0, repr(now))
        ours = [os.readlink("/proc/self/ns/%s" % kind) for kind in
                ("user", "mnt", "net", "ipc", "uts", "cgroup")]
        expect(not set(ours) & set(spaces), "%d shares %r" % (pid, set(ours) & set(spaces)))
    if os.geteuid() == 0:
        expect(not os.listdir("/proc/%d/root/" % procs["boot"]), "the sentry's root")
        expect(all(n.isdigit() for n in os.listdir("/proc/%d/root/" % procs["gofer"])), "its root")
    s.ok("kill", ident, "KILL")
    p.wait(60)
    s.gone(ident)
    nothing_left(s)


def normal_end(s):
    ident = s.fresh()
    s.ok("do", "--name", ident, "--", "sh", "-c", "sleep 0.1 & true")
    s.gone(ident)
    nothing_left(s)


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
    # It ends by itself, or not: a guest in the middle of nothing needs no stub.
    time.sleep(0.3)
    s.run("delete", "--force", ident)
    p.wait(60)
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
    procs = [pid for pid, _ in s.processes(ident)]
    for pid in procs:
        os.kill(pid, signal.SIGKILL)
    p.wait(60)
    wait_for(lambda: all(ended(pid) for pid in procs), "processes to go")
    # Its stubs die a little later, and hold its lock until then.
    wait_for(lambda: ident not in s.run("list").out, "the name to be free")
    p = s.start_do(ident, "exit 3")
    expect(p.wait(60) == 3, "the name is free again")
    s.gone(ident)


if __name__ == "__main__":
    sys.exit(main([confinement, normal_end, command_killed, sentry_killed, gofer_killed, stub_killed,
                   stub_template_killed, killed_while_starting, everything_killed]))
