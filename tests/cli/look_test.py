#!/usr/bin/env python3
"""Looking in: ps as a tree, debug, events, features, and what --strace writes."""

import json
import os
import re
import shutil
import subprocess
import sys

from harness import Skip, expect, main, wait_for

SCRIPT = "sleep 100 & (sleep 101; true) & cat; wait"


def start(s, ident):
    return s.start_do(ident, SCRIPT, stdin=subprocess.PIPE)


def row(text, *end):
    rows = [l.split() for l in text.splitlines()[1:]]
    found = [r for r in rows if tuple(r[-len(end):]) == end]
    return found[0] if found else None


def tree_of_processes(s):
    p = start(s, "tree")
    wait_for(lambda: row(s.ok("ps", "tree").out, "sleep", "101"), "sleep 101")
    for who in (["cat"], ["sleep", "100"], ["sleep", "101"]):
        wait_for(lambda: row(s.ok("ps", "tree").out, *who)[7] == "S", "%s sleeps" % who)
    out = s.ok("ps", "tree").out
    lines = out.splitlines()
    expect("WAITS FOR" in lines[0], lines[0])
    shell, cat = row(out, "-c", *("echo ready; " + SCRIPT).split()), row(out, "cat")
    expect(shell and cat and cat[2] == shell[1], out)
    expect(cat[8].startswith("read(0)"), out)
    expect(row(out, "sleep", "100")[8] == "clock_nanosleep", out)
    # Indented below its parent.
    at = {l.split()[1]: i for i, l in enumerate(lines[1:])}
    child = row(out, "sleep", "101")
    parent = [l for l in lines if l.split()[1] == child[2]][0]
    mine = [l for l in lines if l.split()[1] == child[1]][0]
    expect(mine.index("\\_") == parent.index("\\_") + 4, out)
    expect(at[child[1]] == at[child[2]] + 1, out)
    s.ok("pause", "tree")
    expect(row(s.ok("ps", "tree").out, "cat")[7] == "S", "paused")
    s.ok("resume", "tree")
    s.ok("kill", "--all", "tree", "KILL")
    expect(p.wait(60) == 137, repr(p.returncode))


def debug_of_tasks(s):
    p = start(s, "dbg")
    wait_for(lambda: row(s.ok("ps", "dbg").out, "sleep", "101"), "sleep 101")
    wait_for(lambda: "read(0" in s.ok("debug", "--stacks", "dbg").out, "cat reads")
    out = s.ok("debug", "--stacks", "dbg").out
    tasks = out.split("task ")[1:]
    cat = [t for t in tasks if '"cat"' in t][0]
    expect("sleeping" in cat and "in read(0, 0x" in cat and "waits for read(0)" in cat, cat)
    expect(re.search(r"rip [0-9a-f]{16} rsp [0-9a-f]{16}", cat), cat)
    expect(re.search(r"at   0x[0-9a-f]+ /.*\+0x[0-9a-f]+ \(.* r-x\)", cat), cat)
    expect([t for t in tasks if '"sleep"' in t and "in clock_nanosleep(CLOCK_" in t], out)
    # It all goes on.
    p.stdin.write(b"through\n")
    p.stdin.flush()
    expect(p.stdout.readline() == b"through\n", "cat")
    s.ok("kill", "--all", "dbg", "KILL")
    expect(p.wait(60) == 137, repr(p.returncode))


def counters(s):
    p = start(s, "cnt")
    wait_for(lambda: row(s.ok("ps", "cnt").out, "sleep", "101"), "sleep 101")
    first = json.loads(s.ok("events", "--stats", "cnt").out)
    expect(first["type"] == "stats" and first["id"] == "cnt", repr(first))
    data = first["data"]
    expect(data["cpu"]["usage"]["total"] > 0, repr(data))
    expect(data["memory"]["usage"]["usage"] > 0, repr(data))
    expect(data["pids"]["current"] >= 4 and data["stasis"]["processes"] >= 4, repr(data))
    expect(data["stasis"]["syscalls"]["execve"] >= 3, repr(data))
    expect(data["stasis"]["gofer_calls"] > 0 and data["stasis"]["faults"] > 0, repr(data))
    p.stdin.write(b"x\n" * 10)
    p.stdin.flush()
    p.stdout.readline()
    second = json.loads(s.ok("events", "--stats", "cnt").out)["data"]["stasis"]
    expect(second["syscalls"]["write"] > data["stasis"]["syscalls"].get("write", 0), repr(second))
    # Again and again, until told to stop.
    e = s.start("events", "--interval", "1", "cnt")
    for _ in range(2):
        expect(json.loads(e.stdout.readline())["id"] == "cnt", "events")
    e.kill()
    e.wait()
    s.fails(2, "events", "--interval", "0", "cnt")
    e = s.start("events", "--interval", "1", "cnt")
    expect(json.loads(e.stdout.readline())["id"] == "cnt", "events")
    s.ok("kill", "--all", "cnt", "KILL")
    expect(p.wait(60) == 137, repr(p.returncode))
    # They end with the container, and that is no failure.
    rest, err = e.communicate(timeout=60)
    expect(e.returncode == 0 and not err, repr((e.returncode, err)))
    for line in rest.splitlines():
        json.loads(line)


def features(s):
    lines = s.ok("features").out.splitlines()
    expect(re.match(r"0 +read +full$", lines[0]), lines[0])
    expect([l for l in lines if re.match(r"425 +io_uring_setup +none$", l)], "io_uring_setup")
    expect(re.match(r"\d+ full, \d+ partial, \d+ none$", lines[-1]), lines[-1])
    table = {c["name"]: c for c in json.loads(s.ok("features", "--json").out)["syscalls"]}
    expect(table["mmap"]["number"] == 9 and table["mmap"]["support"] == "full", "mmap")
    expect(table["kexec_load"]["support"] == "none", "kexec_load")
    for c in table.values():
        expect(c["support"] in ("full", "partial", "none"), repr(c))
        expect((c["support"] == "partial") <= bool(c["note"]), repr(c))


def strace(s):
    log = s.path("strace.log")
    script = "echo 'a\"b' > /tmp/f; sleep 0.1; sleep 0.3 & read x < /tmp/f; kill -USR1 $$ & wait; exit 5"
    r = subprocess.run([s.stasis, "--root", s.root, "--log", log, "--strace", "do", "--", "sh",
                        "-c", "trap : USR1; " + script], capture_output=True, timeout=60)
    expect(r.returncode == 5, repr(r))
    text = open(log).read()
    # Another task's line may come between a call and its result, as with strace.
    for want in [r'openat\(AT_FDCWD, "/tmp/f", O_WRONLY\|O_CREAT\|O_TRUNC, 0666\) = \d',
                 r'openat\(AT_FDCWD, "/tmp/f", O_RDONLY(\) += \d| <unfinished)',
                 r'write\(1, "a\\"b\\n", 4\) += 4', r'(read\(0|<\.\.\. read resumed>), "a", 1\) += 1',
                 r'execve\("/.*sleep", \["sleep", "0.1"\], 0x[0-9a-f]+ /\* \d+ vars \*/',
                 r'mmap\(NULL, \d+, PROT_READ\|PROT_WRITE, MAP_PRIVATE\|MAP_ANONYMOUS, -1, 0\) += '
                 r'0x7f', r'rt_sigaction\(SIGUSR1, \{sa_handler=0x', r'exit_group\(5( <unfinished \.\.\.>|\) += \?)',
                 r'--- SIGUSR1 \{si_signo=SIGUSR1', r'ENOENT \(No such file or directory\)',
                 r'clone\(.*CLONE_CHILD_CLEARTID\|CLONE_CHILD_SETTID', r'<unfinished \.\.\.>',
                 r'<\.\.\. \w+ resumed>']:
        expect(re.search(want, text), "%s is not in the log" % want)
    for line in text.splitlines():
        if " strace: " in line:
            expect(re.search(r"strace: \[pid +\d+\] ", line), line)


# One thread, no clocks, no ports: what it prints depends on the decoding alone.
SUBJECT = r"""
import ctypes, fcntl, os, select, signal, socket, struct
os.access("/begin", 0)
a, b = socket.socketpair()
a.sendmsg([b"one", b"two"], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, struct.pack("ii", 0, 1))])
b.recvmsg(10, 100)
b.setblocking(False)
try: b.recv(5)
except BlockingIOError: pass
a.setsockopt(socket.SOL_SOCKET, socket.SO_PASSCRED, 1)
a.getsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF) and a.getsockopt(socket.SOL_SOCKET, socket.SO_TYPE)
t = socket.socket(socket.AF_INET6, socket.SOCK_STREAM)
t.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
t.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 5))
try: t.bind(("2001:db8::1", 80, 3, 0))
except OSError: pass
u = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
u.bind("\0look-test")
try: u.connect("/nowhere/at/all")
except OSError: pass
fcntl.fcntl(0, fcntl.F_GETFD)
fcntl.fcntl(a, fcntl.F_SETFL, os.O_NONBLOCK | os.O_APPEND)
f = os.open("/tmp", os.O_TMPFILE | os.O_RDWR, 0o600)
os.write(f, bytes(range(40)))
os.pwritev(f, [b"x" * 50, b"\"\\\n", b""], 3)
os.preadv(f, [bytearray(3), bytearray(4)], 0)
fcntl.lockf(f, fcntl.LOCK_EX, 10, 5)
fcntl.flock(f, fcntl.LOCK_SH | fcntl.LOCK_NB)
os.fchmod(f, 0o4711)
os.lseek(f, 0, os.SEEK_HOLE)
e = select.epoll()
e.register(a, select.EPOLLIN | select.EPOLLET | select.EPOLLONESHOT)
e.poll(0)
e.unregister(a)
p = select.poll()
p.register(a, select.POLLOUT)
p.poll(0)
select.select([b], [a], [], 0)
signal.signal(signal.SIGUSR1, lambda *x: None)
signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGUSR2, signal.SIGRTMIN + 3])
os.kill(os.getpid(), signal.SIGUSR1)
if os.fork() == 0: os._exit(7)
os.wait()
c = ctypes.CDLL(None)
c.prctl(15, b"a name that is long", 0, 0, 0)
c.prctl(23, 5, 0, 0, 0)
c.syscall(157, 12345, 1, 2, 3, 4)
c.syscall(9999, 1, 2, 3, 4, 5, 6)
c.open(b"/nowhere/" + b"y" * 300, 0o100, 0o600)
c.write(1, None, 0), c.write(1, 8, 3), c.write(99, b"z", 1)
c.umask(0o22), c.umask(0o22)
"""


def told(lines, pattern):
    """What the first process did after /begin, without addresses, ids and times."""
    first, out, on = None, [], False
    for line in lines:
        m = re.search(pattern, line)
        if not m or m.group(1) != (first or m.group(1)):
            continue
        first, text = m.group(1), m.group(2)
        on = on or "/begin" in text
        if on and not re.match(r"(brk|mmap|munmap|mprotect|madvise|futex|newfstatat|exit_group|clock_gettime)\(", text):
            text = re.sub(r"0x[0-9a-f]{5,}", "ADDR", re.sub(r"\) += ", ") = ", text))
            text = re.sub(r"si_[us]time=\d+( /\* \S+ s \*/)?", "si_time", text)
            text = re.sub(r"(kill|getpid|wait4)\(.*|clone\(.*|si_pid=\d+", r"\1", text)
            out.append(re.sub(r" <unfinished \.\.\.>|<\.\.\. \w+ resumed>.*", "", text))
    return [l for l in out if l]


def as_strace_prints(s):
    if not shutil.which("strace"):
        raise Skip("no strace")
    native, log = s.path("native.log"), s.path("ours.log")
    python = ["python3", "-c", SUBJECT]
    quiet = {"stdin": subprocess.DEVNULL, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE,
             "timeout": 120}
    r = subprocess.run(["strace", "-f", "-o", native, "--"] + python, **quiet)
    if not os.path.exists(native) or r.returncode != 0:
        raise Skip("strace does not run here: %r" % r)
    r = subprocess.run([s.stasis, "--root", s.root, "--log", log, "--strace", "do", "--"] + python,
                       **quiet)
    expect(r.returncode == 0, repr(r))
    theirs = told(open(native, errors="replace"), r"^(\d+) +(.*)$")
    ours = told(open(log, errors="replace"), r"strace: \[pid +(\d+)\] (.*)$")
    expect(len(theirs) > 60, repr(theirs))
    for a, b in zip(theirs, ours):
        expect(a == b, "strace: %s\nwe:     %s" % (a, b))
    expect(len(theirs) == len(ours), "%d lines and %d" % (len(theirs), len(ours)))


def storm(s):
    """Thousands that fork and die keep nobody from looking, and from ending them."""
    script = "import os, signal, sys, time\n" \
             "signal.signal(signal.SIGCHLD, signal.SIG_IGN)\n" \
             "for i in range(600):\n" \
             "    if os.fork() == 0:\n" \
             "        while i < 594: signal.pause()\n" \
             "        while True:\n" \
             "            try:\n" \
             "                if os.fork() == 0: os._exit(0)\n" \
             "            except OSError: pass\n" \
             "print('ready', flush=True)\n" \
             "signal.pause()\n"
    p = s.start("do", "--name", "storm", "--pids", "700", "--", "python3", "-c", script, bufsize=0)
    expect(p.stdout.readline() == b"ready\n", "no start")
    lines = s.ok("ps", "storm").out.splitlines()
    expect(len(lines) > 600, "%d lines" % len(lines))
    pids = json.loads(s.ok("ps", "--format", "json", "storm").out)
    expect(len(pids) > 600 and 2 in pids, repr(pids[:5]))
    expect(s.ok("debug", "storm").out.count("task ") > 600, "debug")
    data = json.loads(s.ok("events", "--stats", "storm").out)["data"]
    expect(data["pids"]["current"] > 600, repr(data["pids"]))
    s.ok("pause", "storm")
    s.ok("ps", "storm")
    s.ok("resume", "storm")
    s.ok("kill", "--all", "storm", "KILL")
    expect(p.wait(60) == 137, repr(p.returncode))


def names(s):
    """What guests call themselves can neither move the cursor nor break what scripts read."""
    script = r"""exec -a $'a\nb\033[2Jc\302\233d\377e\303\244"\342\200\256f' sleep 200"""
    p = s.start("do", "--name", "names", "--", "bash", "-c", "echo ready; " + script, bufsize=0)
    expect(p.stdout.readline() == b"ready\n", "no start")
    wait_for(lambda: "bash" not in s.ok("ps", "names").out, "sleep")
    lines = s.ok("ps", "names").out.rstrip("\n").split("\n")
    expect(len(lines) == 2 and lines[1].endswith('a?b?[2Jc?d?e\u00e4"?f 200'), repr(lines))
    expect(len(lines[1]) <= 80 and len(lines[0]) <= 80, repr(lines))
    expect("\033" not in s.ok("debug", "names").out, "debug")
    s.fails(2, "ps", "--format", "yaml", "names")
    s.ok("kill", "names", "KILL")
    expect(p.wait(60) == 137, repr(p.returncode))


def image_of_objects(s):
    """show and tree say what sockets and terminals an image has, and count every kind."""
    script = "import os, socket, sys, threading, time, ctypes\n" \
             "t = socket.socket(); t.bind(('127.0.0.1', 0)); t.listen(3)\n" \
             "c = socket.create_connection(t.getsockname())\n" \
             "u = socket.socket(socket.AF_UNIX); u.bind('\\0look'); u.listen(1)\n" \
             "a, b = socket.socketpair(); a.send(b'12345')\n" \
             "m, n = os.openpty()\n" \
             "if os.fork() == 0:\n" \
             "    threading.Thread(target=lambda: time.sleep(1000)).start()\n" \
             "    ctypes.CDLL(None).syscall(60, 0)\n" \
             "print('ready', t.getsockname()[1], flush=True)\n" \
             "time.sleep(1000)\n"
    p = s.start("do", "--name", "objects", "--", "python3", "-c", script, bufsize=0)
    port = p.stdout.readline().decode().split()[1]
    wait_for(lambda: [l for l in s.ok("ps", "objects").out.splitlines()[2:]
                      if "clock_nanosleep" in l and "python3" in l], "a thread without its leader")
    image = s.path("objects.img")
    s.ok("checkpoint", "--image-path", image, "objects")
    p.wait(60)
    shown = s.ok("image", "show", image).out
    for want in ["  tcp 127.0.0.1:%s, listening, 1 to accept\n" % port, "  unix stream @look, listening",
                 "  unix stream, connected, 5 bytes not read", "  pts/0, ", " 2 pty file", "objects\n"]:
        expect(want in shown, "%r is not in %s" % (want, shown))
    expect(all(len(l) <= 80 for l in shown[shown.index("\nobjects"):].splitlines()), shown)
    expect("zombie" not in shown, shown)
    tree = s.ok("image", "tree", image).out
    expect("unix stream @look, listening" in tree, tree)
    json.loads(s.ok("image", "decode", image).out)


if __name__ == "__main__":
    sys.exit(main([tree_of_processes, debug_of_tasks, counters, features, strace, as_strace_prints,
                   storm, names, image_of_objects]))
