#!/usr/bin/env python3
"""The command line: help, errors, exit statuses, signals, containers from start to delete."""

import json
import os
import pty
import re
import select
import shutil
import signal
import subprocess
import sys
import time

from harness import Skip, expect, main, read_until, wait_for

COMMANDS = ["debug", "do", "events", "features", "run", "checkpoint", "restore", "ps", "list",
            "state", "kill", "wait", "delete", "pause", "resume", "image"]


def help_of_every_command(s):
    for args in [["--help"]] + [[c, "--help"] for c in COMMANDS]:
        r = s.ok(*args)
        expect("Usage:" in r.out and not r.err, "%s: %r" % (args, r))


def usage_errors(s):
    for args in [[], ["--nope"], ["nope"], ["do"], ["do", "--nope"], ["run"], ["run", "a", "b"],
                 ["restore", "x"], ["checkpoint", "x"], ["kill"], ["kill", "x", "NOPE"], ["ps"],
                 ["state"], ["wait"], ["delete"], ["image"], ["image", "nope", "x"],
                 ["do", "--autosave", "0", "true"], ["do", "--autosave", "x", "true"],
                 ["do", "--autosave", "99999999999999999999", "true"],
                 ["checkpoint", "--image-path", "x", "--compression", "zip", "x"],
                 ["list", "--format", "xml"], ["boot", "x"], ["gofer"]]:
        s.fails(2, *args)
    s.fails(2, "do", "true", platform="nope")
    s.fails(2, "do", "true", platform="null")
    r = subprocess.run([s.stasis, "--overlay", "disk", "do", "true"], capture_output=True)
    expect(r.returncode == 2, "overlay: %r" % r)


def plain_errors(s):
    for args in [["ps", "nope"], ["state", "nope"], ["kill", "nope"], ["wait", "nope"],
                 ["delete", "nope"], ["pause", "nope"], ["resume", "nope"],
                 ["checkpoint", "--image-path", s.path("img"), "nope"]]:
        s.fails(1, *args, contains="nope")
    s.fails(1, "state", "../x", contains="../x")
    s.fails(1, "do", "--name", ".x", "true", contains=".x")
    s.fails(1, "restore", "--image-path", s.path("none"), "x", contains=s.path("none"))
    for verb in ("show", "tree", "verify", "decode"):
        s.fails(1, "image", verb, s.path("none"), contains=s.path("none"))
    s.fails(1, "run", "--bundle", s.path("none"), "x", contains=s.path("none"))
    r = subprocess.run([s.stasis, "--log", s.path("no/log"), "list"], capture_output=True)
    expect(r.returncode == 1 and s.path("no/log").encode() in r.stderr, "log: %r" % r)
    expect(s.ok("list").out.count("\n") == 1, "list of nothing")


def program_not_found(s):
    s.fails(1, "do", "--", "/no/such/program", contains="/no/such/program")
    s.fails(1, "do", "--", "no-such-program", contains="no-such-program")


def exit_statuses(s):
    for n in (0, 1, 7, 255):
        expect(s.run("do", "--", "sh", "-c", "exit %d" % n).status == n, "exit %d" % n)
    for n in (1, 2, 9, 15):
        r = s.run("do", "--", "sh", "-c", "kill -%d $$; sleep 5" % n)
        expect(r.status == 128 + n, "signal %d: %r" % (n, r))


def standard_streams(s):
    p = s.start("do", "--", "sh", "-c", "cat; echo err >&2", stdin=subprocess.PIPE)
    out, err = p.communicate(b"some\nlines\n", timeout=60)
    expect((p.returncode, out, err) == (0, b"some\nlines\n", b"err\n"), "%r %r" % (out, err))
    with open(s.path("in"), "w+b") as i, open(s.path("out"), "w+b") as o:
        i.write(b"x" * 100000)
        i.seek(0)
        p = s.start("do", "--", "cat", stdin=i, stdout=o)
        expect(p.wait(60) == 0 and os.path.getsize(s.path("out")) == 100000, "files")


def surroundings(s):
    env = {"PATH": os.environ["PATH"], "A": "b c"}
    r = s.run("do", "--", "sh", "-c", 'pwd; echo "$A"; id -u; umask', env=env, cwd="/usr/lib")
    mask = os.umask(0)
    os.umask(mask)
    expect(r.out == "/usr/lib\nb c\n%d\n%04o\n" % (os.geteuid(), mask), repr(r))


def handed_on_as_execve_does(s):
    """What a program inherits from its caller, compared with a run without us: $1 is nothing or do."""
    look = "grep -E 'Sig(Blk|Ign)' /proc/self/status"
    for script in [
            "trap '' INT HUP USR1; $1 " + look,
            "trap '' INT HUP TERM; $1 sh -c 'kill -INT $$; kill -HUP $$; kill -TERM $$; echo alive'",
            "sh -c '$1 sh -c \"kill -INT \\$\\$; kill -QUIT \\$\\$; echo alive\" & wait'",
            "nohup $1 sh -c 'kill -HUP $$; echo alive'",
            "nice -n 3 $1 nice",
            "umask 0; $1 sh -c umask; umask 027; $1 sh -c umask",
            "$1 sh -c 'echo x >&0' <&- 2>&1",
            "$1 sh -c 'echo x; echo $? >&2' >&- 2>&1",
            "$1 sh -c 'echo x >&2; echo $?' 2>&-",
            "$1 ls /proc/self/fd <&-",
            "$1 sh -c 'exit 3' <&- >&- 2>&-",
            "$1 cat /proc/self/fdinfo/1 >>f; grep flags f; rm f",
    ]:
        got = [subprocess.run(["sh", "-c", script.replace("$1", do)], cwd=s.tmp, timeout=60,
                              stdin=subprocess.DEVNULL, capture_output=True)
               for do in ("", " ".join(s.argv(["do", "--"])))]
        # Which shell of ours says it is no matter.
        native, ours = [(p.returncode, p.stdout.replace(b"sh: 1:", b"")) for p in got]
        expect(native == ours, "%s: %r natively, %r" % (script, native, ours))


def blocked_signals(s):
    """A signal that is blocked for the program is not for us: it comes when it is unblocked."""
    code = ("import signal, subprocess, sys; "
            "signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGTERM, signal.SIGUSR2]); "
            "sys.exit(subprocess.call(sys.argv[1:]))")
    look = [sys.executable, "-c",
            "import os, signal; os.kill(os.getpid(), signal.SIGTERM); "
            "print(signal.sigpending(), signal.pthread_sigmask(signal.SIG_BLOCK, []))"]
    native, ours = [subprocess.run([sys.executable, "-c", code] + words + look, timeout=60,
                                   capture_output=True) for words in ([], s.argv(["do", "--"]))]
    expect(native.returncode == ours.returncode == 0 and native.stdout == ours.stdout,
           "%r natively, %r" % (native, ours))


def nothing_written_to_the_host(s):
    path = s.path("file")
    with open(s.path("kept"), "w") as f:
        f.write("kept\n")
    r = s.ok("do", "--", "sh", "-c", "echo x >%s && cat %s && rm %s && echo gone" %
             (path, path, s.path("kept")))
    expect(r.out == "x\ngone\n" and not os.path.exists(path) and
           open(s.path("kept")).read() == "kept\n", repr(r))


def written_through_without_overlay(s):
    path = s.path("file")
    p = subprocess.run([s.stasis, "--root", s.root, "--overlay", "none", "do", "--", "sh", "-c",
                        "echo x >" + path], timeout=60)
    expect(p.returncode == 0 and open(path).read() == "x\n", "not written")


def signals_are_passed_on(s):
    for name, n in (("TERM", 15), ("HUP", 1), ("USR1", 10), ("INT", 2)):
        p = s.start_do(s.fresh(),
                       "trap 'echo got; exit 3' %s; echo set; while :; do sleep 0.05; done" % name)
        read_until(p.stdout, b"set\n")
        p.send_signal(n)
        expect(p.wait(60) == 3 and p.stdout.read() == b"got\n", "trap " + name)
        p = s.start_do(s.fresh(), "exec sleep 100")
        p.send_signal(n)
        expect(p.wait(60) == 128 + n, "%s: %d" % (name, p.returncode))


def ctrl_c(s):
    pid, fd = pty.fork()
    if pid == 0:
        try:
            os.execv(s.stasis, s.argv(["do", "--", "sh", "-c",
                                       "test -t 0 || exit 9; trap 'echo caught; exit 5' INT; "
                                       "echo ready; while :; do sleep 0.05; done"]))
        finally:
            os._exit(127)
    data = b""
    end = time.monotonic() + 60
    sent = False
    while time.monotonic() < end:
        if select.select([fd], [], [], 0.1)[0]:
            try:
                data += os.read(fd, 4096)
            except OSError:
                break
        if b"ready" in data and not sent:
            os.write(fd, b"\x03")
            sent = True
    os.close(fd)
    _, status = os.waitpid(pid, 0)
    expect(os.waitstatus_to_exitcode(status) == 5 and b"caught" in data, "%r %r" % (status, data))


def stop_and_continue(s):
    p = s.start_do(s.fresh(), "read x; exit 6", stdin=subprocess.PIPE)
    p.send_signal(signal.SIGTSTP)
    _, status = os.waitpid(p.pid, os.WUNTRACED)
    expect(os.WIFSTOPPED(status), "stopped: %r" % status)
    p.send_signal(signal.SIGCONT)
    p.stdin.close()
    expect(p.wait(60) == 6, "continued: %r" % p.returncode)


def life_of_a_container(s):
    p = s.start_do("life", "sleep 100 & sleep 101; echo done")
    s.fails(1, "do", "--name", "life", "--", "true", contains="life")
    s.fails(1, "delete", "life", contains="running")
    expect(" running " in s.ok("list").out, "list")
    expect(s.ok("list", "-q").out == "life\n", "list -q")
    expect(json.loads(s.ok("list", "-f", "json").out)[0]["id"] == "life", "list json")
    state = s.state("life")
    expect(state["ociVersion"] and state["status"] == "running" and state["pid"] > 1, repr(state))
    wait_for(lambda: "sleep 101" in s.ok("ps", "life").out, "ps")
    expect("sleep 100" in s.ok("ps", "life").out, "ps")
    s.ok("pause", "life")
    expect(s.state("life")["status"] == "paused", "paused")
    s.fails(1, "pause", "life", contains="paused")
    s.ok("resume", "life")
    s.fails(1, "resume", "life", contains="paused")
    s.ok("kill", "life", "0")
    s.ok("kill", "life", "KILL")
    expect(p.wait(60) == 137, "%r %r" % (p.returncode, p.stderr.read()))
    s.gone("life")


def paused_means_paused(s):
    p = s.start_do("pause", "while :; do echo tick; sleep 0.02; done")
    s.ok("pause", "pause")
    while select.select([p.stdout], [], [], 0.3)[0]:
        os.read(p.stdout.fileno(), 65536)
    expect(not select.select([p.stdout], [], [], 0.3)[0], "it runs")
    s.ok("resume", "pause")
    expect(select.select([p.stdout], [], [], 5)[0], "it does not run")
    s.ok("delete", "--force", "pause")
    p.wait(60)


def kill_one_process(s):
    p = s.start_do("one", "sleep 100; echo after; sleep 100")

    def sleeps():
        rows = [line.split() for line in s.ok("ps", "one").out.splitlines()[1:]]
        return [w[1] for w in rows if w[-3:] == ["\\_", "sleep", "100"]]
    wait_for(sleeps, "sleep")
    s.fails(1, "kill", "--pid", "9999", "one", contains="no such process")
    s.ok("kill", "--pid", sleeps()[0], "one", "KILL")
    read_until(p.stdout, b"after")
    s.ok("kill", "--all", "one", "KILL")
    expect(p.wait(60) == 137, repr(p.returncode))


def as_an_ordinary_user(s):
    if os.geteuid() != 0:
        raise Skip("the other tests do that")
    os.makedirs(s.path("user/run"))
    for d in ("user", "user/run"):
        os.chown(s.path(d), 65534, 65534)
    exe = s.path("stasis")
    with open(s.stasis, "rb") as a, open(exe, "wb") as b:
        b.write(a.read())
    os.chmod(exe, 0o755)
    env = {k: v for k, v in os.environ.items() if k == "PATH" or k.endswith("SAN_OPTIONS")}
    env["XDG_RUNTIME_DIR"] = s.path("user/run")
    p = subprocess.run([exe, "--platform", s.platform, "do", "--", "sh", "-c",
                        "id -u; cat /etc/shadow; exit 6"],
                       user=65534, group=65534, extra_groups=[], env=env, cwd="/",
                       capture_output=True, timeout=60)
    expect(p.returncode == 6 and p.stdout == b"65534\n" and b"denied" in p.stderr, repr(p))
    expect(os.listdir(s.path("user/run/stasis")) == [".lock"], "left behind")


def log_and_strace(s):
    p = subprocess.run([s.stasis, "--root", s.root, "--log", s.path("log"), "--strace", "do",
                        "--", "true"], capture_output=True, timeout=60)
    expect(p.returncode == 0 and not p.stderr, repr(p))
    expect("exit_group" in open(s.path("log")).read(), "no exit_group in the log")
    # A call that Linux never makes again has failed, as strace shows it; one that it would is marked.
    script = "import os, select, signal\n" \
             "def interrupt(*_): raise KeyError\n" \
             "signal.signal(signal.SIGALRM, interrupt)\n" \
             "for wait in (select.epoll().poll, lambda: os.read(os.pipe()[0], 1)):\n" \
             "    signal.setitimer(signal.ITIMER_REAL, 0.3)\n" \
             "    try: wait()\n" \
             "    except KeyError: pass\n"
    p = subprocess.run([s.stasis, "--root", s.root, "--log", s.path("log2"), "--strace", "do",
                        "--", "python3", "-c", script], capture_output=True, timeout=60)
    expect(p.returncode == 0, repr(p))
    log = open(s.path("log2")).read()
    expect(re.search(r"epoll_wait\(.*= -1 EINTR \(Interrupted system call\)\n", log), "epoll")
    expect(re.search(r"read\(.*= \? ERESTARTSYS \(To be restarted", log), "read")


def many_at_once(s):
    procs = [s.start("do", "--", "sh", "-c", "exit %d" % i) for i in range(10)]
    for i, p in enumerate(procs):
        expect(p.wait(60) == i, "number %d: %r" % (i, p.returncode))
    expect(os.listdir(s.root) == [".lock"], repr(os.listdir(s.root)))


def output_that_is_not_taken(s):
    with open("/dev/full", "w") as full:
        for args in (["--help"], ["do", "--help"], ["image", "--help"], ["features"], ["list"]):
            for how in ({"stdout": full}, {"preexec_fn": lambda: os.close(1)}):
                p = subprocess.run(s.argv(args), stdin=subprocess.DEVNULL,
                                   stderr=subprocess.PIPE, timeout=60, **how)
                expect(p.returncode == 1 and p.stderr.count(b"\n") == 1 and
                       b"cannot write the output" in p.stderr, "%r %r %r" % (args, how, p))


def no_permissions_by_umask(s):
    """What the command makes for itself it can use, whatever the program's umask is."""
    user, root = {}, s.path("masked")
    os.mkdir(root, 0o700)
    if os.geteuid() == 0:
        user = {"user": 65534, "group": 65534, "extra_groups": []}
        os.chown(root, 65534, 65534)
    exe = s.path("stasis")
    shutil.copyfile(s.stasis, exe)
    os.chmod(exe, 0o755)
    p = subprocess.run([exe, "--root", root, "do", "sh", "-c", "umask"], cwd="/", umask=0o777,
                       capture_output=True, timeout=60, **user)
    expect(p.returncode == 0 and p.stdout == b"0777\n", repr(p))


def forced_away(s):
    p = s.start_do("away", "sleep 100")
    s.ok("delete", "--force", "away")
    expect(p.wait(60) == 137 and p.stderr.read() == b"", "%r" % p.returncode)
    s.gone("away")


if __name__ == "__main__":
    sys.exit(main([help_of_every_command, usage_errors, plain_errors, program_not_found,
                   exit_statuses, standard_streams, surroundings, handed_on_as_execve_does,
                   blocked_signals, nothing_written_to_the_host, written_through_without_overlay,
                   signals_are_passed_on, ctrl_c, stop_and_continue, life_of_a_container,
                   paused_means_paused, kill_one_process, as_an_ordinary_user, log_and_strace,
                   many_at_once,
                   output_that_is_not_taken, no_permissions_by_umask, forced_away]))
