#!/usr/bin/env python3
"""stasis exec: another command in a running container, with and without a terminal."""

import os
import pwd
import signal
import subprocess
import sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from harness import expect, main, one_line, read_until, wait_for
from terminal import Terminal

LOOP = "while :; do sleep 0.05; done"


def detached(s, *args, **kw):
    """A command whose standard files live on in the sandbox."""
    p = s.start(*args, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, **kw)
    expect(p.wait(60) == 0, "%s: status %s" % (" ".join(args[:4]), p.returncode))


def test_runs_in_the_container(s):
    ident = s.fresh()
    s.start_do(ident, "echo one > /tmp/exec-mark; " + LOOP)
    wait_for(lambda: s.run("exec", ident, "cat", "/tmp/exec-mark").out == "one\n", "the file")
    r = s.ok("exec", ident, "sh", "-c", "echo out; echo err >&2; cat", input=b"typed",
             stdin=None)
    expect((r.out, r.err) == ("out\ntyped", "err\n"), repr(r))
    # What it writes is the container's, not the host's.
    s.ok("exec", ident, "sh", "-c", "echo two > /tmp/exec-mark2")
    expect(not os.path.exists("/tmp/exec-mark2"), "written through")
    expect(s.ok("exec", ident, "--", "cat", "/tmp/exec-mark2").out == "two\n", "kept")


def test_status(s):
    ident = s.fresh()
    s.start_do(ident, LOOP)
    expect(s.run("exec", ident, "sh", "-c", "exit 7").status == 7, "exit status")
    expect(s.run("exec", ident, "sh", "-c", "kill -TERM $$").status == 143, "killed")
    r = s.run("exec", ident, "no-such-command")
    one_line(r, 127, "no-such-command")
    r = s.run("exec", ident, "/etc/passwd")
    one_line(r, 126, "/etc/passwd")
    s.fails(1, "exec", "--cwd", "/nowhere", ident, "true", contains="/nowhere")
    s.fails(1, "exec", "--user", "nobody-such", ident, "true", contains="nobody-such")
    s.fails(1, "exec", s.fresh(), "true")
    s.fails(2, "exec", ident)
    s.fails(2, "exec", "--env", "novalue", ident, "true")
    s.fails(2, "exec", "-t", "--detach", ident, "true")


def test_surroundings(s):
    ident = s.fresh()
    env = dict(os.environ, EXEC_KEPT="first", EXEC_CHANGED="old")
    s.start_do(ident, LOOP, env=env, cwd="/usr")
    out = s.ok("exec", "--env", "EXEC_CHANGED=new", "--env", "EXEC_ADDED=x y", ident, "sh", "-c",
               "echo $EXEC_KEPT $EXEC_CHANGED $EXEC_ADDED; pwd; echo $PPID").out
    expect(out == "first new x y\n/usr\n0\n", out)
    expect(s.ok("exec", "--cwd", "/etc", ident, "pwd").out == "/etc\n", "cwd")
    stat = s.ok("exec", ident, "cat", "/proc/self/stat").out.rpartition(")")[2].split()
    expect(stat[1] == "0", "parent")
    # A session and a group of its own.
    expect(stat[2] == stat[3], "session")
    expect(stat[4] == "0", "no terminal")


def test_users(s):
    if os.geteuid() != 0:
        return
    ident = s.fresh()
    s.start_do(ident, LOOP)
    nobody = pwd.getpwnam("nobody")
    ids = "id -u; id -g; echo $HOME"
    out = s.ok("exec", "--user", "nobody", ident, "sh", "-c", ids).out.split()
    expect(out == [str(nobody.pw_uid), str(nobody.pw_gid), nobody.pw_dir], out)
    out = s.ok("exec", "--user", "1234:daemon", ident, "sh", "-c", ids).out.split()
    expect(out == ["1234", "1", "/"], out)
    out = s.ok("exec", "--user", "1234", ident, "sh", "-c", "cat /proc/self/status").out
    expect("CapEff:\t0000000000000000" in out, "capabilities")
    s.fails(1, "exec", "--user", "nobody:no-such-group", ident, "true", contains="no-such-group")


def test_signals_reach_it(s):
    ident = s.fresh()
    s.start_do(ident, LOOP)
    p = s.start("exec", ident, "sh", "-c",
                "trap 'echo got term; exit 3' TERM; echo up; while :; do sleep 0.02; done",
                bufsize=0)
    read_until(p.stdout, b"up\n")
    p.send_signal(signal.SIGTERM)
    read_until(p.stdout, b"got term\n")
    expect(p.wait(60) == 3, "status")
    p = s.start("exec", ident, "sleep", "1000")
    wait_for(lambda: "sleep 1000" in s.run("ps", ident).out, "the process")
    p.send_signal(signal.SIGINT)
    expect(p.wait(60) == 130, "status %s" % p.returncode)


def test_detach(s):
    ident = s.fresh()
    s.start_do(ident, LOOP)
    pidfile = s.path("pid")
    detached(s, "exec", "--detach", "--pid-file", pidfile, ident, "sleep", "1000")
    pid = open(pidfile).read()
    expect(any(l.split()[1] == pid and "sleep 1000" in l or pid in l.split()
               for l in s.ok("ps", ident).out.splitlines() if "sleep 1000" in l), "listed")
    s.ok("kill", "--pid", pid, ident, "KILL")
    wait_for(lambda: "sleep 1000" not in s.run("ps", ident).out, "its end")


def test_ends_with_the_container(s):
    ident = s.fresh()
    do = s.start_do(ident, LOOP)
    p = s.start("exec", ident, "sleep", "1000")
    wait_for(lambda: "sleep 1000" in s.run("ps", ident).out, "the process")
    s.ok("kill", ident, "KILL")
    expect(do.wait(60) == 137, "do")
    expect(p.wait(60) in (137, 1), "exec %s" % p.returncode)
    s.fails(1, "exec", ident, "true")


def test_paused(s):
    ident = s.fresh()
    s.start_do(ident, LOOP)
    s.ok("pause", ident)
    s.fails(1, "exec", ident, "true", contains="paused")
    s.ok("resume", ident)
    s.ok("exec", ident, "true")


def test_many_at_once(s):
    ident = s.fresh()
    s.start_do(ident, LOOP)
    procs = [s.start("exec", ident, "sh", "-c", "read x; exit $x", stdin=subprocess.PIPE)
             for _ in range(12)]
    for i, p in enumerate(procs):
        p.stdin.write(b"%d\n" % i)
        p.stdin.close()
        p.stdin = None
    expect([p.wait(60) for p in procs] == list(range(12)), "statuses")


def test_survives_a_checkpoint(s):
    ident, image = s.fresh(), s.path("image")
    s.start_do(ident, LOOP)
    count = "i=0; while :; do i=$((i+1)); echo $i > /tmp/exec-count; sleep 0.05; done"
    p = s.start("exec", ident, "sh", "-c", count)
    wait_for(lambda: s.run("exec", ident, "cat", "/tmp/exec-count").out.strip() not in ("", "0"),
             "counting")
    s.ok("checkpoint", "--image-path", image, ident)
    _, err = p.communicate(timeout=60)
    line = err.decode()
    expect(p.returncode == 1 and line.count("\n") == 1 and "checkpointed" in line, line)
    other = s.fresh()
    detached(s, "restore", "--image-path", image, "--detach", other, platform="ptrace")
    at = int(s.ok("exec", other, "cat", "/tmp/exec-count").out or "0")

    def grows():
        text = s.ok("exec", other, "cat", "/tmp/exec-count").out.strip()
        return text and int(text) > at
    wait_for(grows, "the restored count")
    # What it is told about itself is what it was before.
    expect(s.ok("exec", other, "pwd").out.strip() == os.getcwd(), "directory")
    s.ok("delete", "--force", other)


def test_goes_on_after_leave_running(s):
    ident = s.fresh()
    s.start_do(ident, LOOP)
    p = s.start("exec", ident, "sh", "-c", "echo up; read x; echo $x; exit 4", bufsize=0,
                stdin=subprocess.PIPE)
    read_until(p.stdout, b"up\n")
    s.ok("checkpoint", "--leave-running", "--image-path", s.path("image"), ident)
    p.stdin.write(b"still here\n")
    read_until(p.stdout, b"still here\n")
    expect(p.wait(60) == 4, "status")


def test_terminal(s):
    ident = s.fresh()
    s.start_do(ident, LOOP)
    t = Terminal(s.argv(["exec", "-t", ident, "sh", "-c",
                         "tty; stty size; test -t 0 && test -t 2 && echo yes; "
                         "cat /proc/self/stat | sed 's/.*) //' | cut -d' ' -f5; exit 5"]),
                 rows=31, cols=91)
    out = t.finish(5)
    expect("/dev/pts/" in out and "31 91" in out and "yes" in out, repr(out))
    expect("34816" in out or "3481" in out, "terminal number: %r" % out)


def test_terminal_is_interactive(s):
    ident = s.fresh()
    s.start_do(ident, LOOP)
    t = Terminal(s.argv(["exec", "-t", ident, "bash", "--norc", "--noediting", "-i"]))
    t.expect("$ ") if os.geteuid() else t.expect("# ")
    t.send("echo $((40+2))\n")
    t.expect("\r\n42\r\n")
    t.send("sleep 1000\n")
    wait_for(lambda: "sleep 1000" in s.run("ps", ident).out, "sleep")
    t.send("\x03")
    t.send("echo after=$?\n")
    t.expect("after=130")
    t.send("sleep 1001\n")
    wait_for(lambda: "sleep 1001" in s.run("ps", ident).out, "sleep")
    t.send("\x1a")
    t.expect("Stopped")
    t.send("jobs; kill %1; wait; echo resized=$(stty size)\n")
    t.expect("resized=24 80")
    t.resize(40, 120)
    t.send("echo again=$(stty size)\n")
    while "again=40 120" not in t.seen:
        # The news takes its time.
        t.send("echo again=$(stty size)\n")
        t.expect("again=")
        t.read()
    t.send("exit 9\n")
    t.finish(9)


def test_terminal_is_hung_up_with_the_command(s):
    ident = s.fresh()
    s.start_do(ident, LOOP)
    t = Terminal(s.argv(["exec", "-t", ident, "sleep", "1000"]))
    wait_for(lambda: "sleep 1000" in s.run("ps", ident).out, "sleep")
    os.kill(t.pid, signal.SIGKILL)
    wait_for(lambda: "sleep 1000" not in s.run("ps", ident).out, "SIGHUP")
    t.close()


def test_terminal_survives_a_checkpoint(s):
    ident, image, other = s.fresh(), s.path("image"), s.fresh()
    s.start_do(ident, LOOP)
    t = Terminal(s.argv(["exec", "-t", ident, "sh", "-c",
                         "stty -echo; echo ready; while :; do echo tick; sleep 0.05; "
                         "echo $$ $(tty) > /tmp/exec-tty; done"]))
    t.expect("ready")
    t.expect("tick")
    wait_for(lambda: "/dev/pts" in s.run("exec", ident, "cat", "/tmp/exec-tty").out, "tty")
    s.ok("checkpoint", "--image-path", image, ident)
    t.expect("checkpointed")
    t.finish(1)
    detached(s, "restore", "--image-path", image, "--detach", other)
    s.ok("exec", other, "rm", "/tmp/exec-tty")
    # Its terminal is still one; what it prints goes nowhere.
    wait_for(lambda: "/dev/pts" in s.run("exec", other, "cat", "/tmp/exec-tty").out, "tty")
    s.ok("delete", "--force", other)


if __name__ == "__main__":
    sys.exit(main([f for name, f in sorted(globals().items()) if name.startswith("test_")]))
