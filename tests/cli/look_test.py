#!/usr/bin/env python3
"""Looking in: ps as a tree, debug, events, features, and what --strace writes."""

import json
import re
import subprocess
import sys

from harness import expect, main, wait_for

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
    s.ok("kill", "--all", "cnt", "KILL")
    expect(p.wait(60) == 137, repr(p.returncode))


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
                 r'openat\(AT_FDCWD, "/tmp/f", O_RDONLY\) += \d',
                 r'write\(1, "a\\"b\\n", 4\) += 4', r'read\(0, "a", 1\) += 1',
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


if __name__ == "__main__":
    sys.exit(main([tree_of_processes, debug_of_tasks, counters, features, strace]))
