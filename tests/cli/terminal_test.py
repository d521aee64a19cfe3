#!/usr/bin/env python3
"""Sandboxes at a terminal: job control under do, full-screen programs, console sockets, and what a
restore does with a terminal."""

import array
import json
import os
import re
import select
import shutil
import signal
import socket
import subprocess
import sys
import termios
import time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from harness import Skip, expect, main, wait_for
from terminal import Terminal

PROMPT = {"PS1": "@@ ", "HISTFILE": "", "HOME": "/tmp"}


def bash(s, *extra):
    t = Terminal(s.argv(["do"] + list(extra) + ["--", "bash", "--norc", "--noediting", "-i"]),
                 env=dict(os.environ, **PROMPT))
    t.expect("@@ ")
    return t


def need(program):
    if not shutil.which(program):
        raise Skip("no %s here" % program)


def test_interactive_bash(s):
    ident = s.fresh()
    t = bash(s, "--name", ident)
    expect("job control" not in t.seen, t.seen)
    t.send("echo $((6*7))\n")
    t.expect("\r\n42\r\n")
    t.send("tty\n")
    t.expect("/dev/console")
    t.send("sleep 1000\n")
    wait_for(lambda: "sleep 1000" in s.run("ps", ident).out, "sleep")
    t.send("\x03")
    t.expect("@@ ")
    t.send("echo int=$?\n")
    t.expect("int=130")
    t.send("sleep 1001\n")
    wait_for(lambda: "sleep 1001" in s.run("ps", ident).out, "sleep")
    t.send("\x1a")
    t.expect("Stopped")
    t.send("jobs -s | grep -c sleep; bg; fg\n")
    for _ in range(3):
        t.expect("sleep 1001")
    # The shell hands the terminal over after it has said so.
    while "@@ " not in t.seen[t.mark:]:
        time.sleep(0.3)
        t.send("\x03")
        until = time.monotonic() + 3
        while "@@ " not in t.seen[t.mark:] and time.monotonic() < until:
            t.read(0.3)
    t.send("\x15echo sy''nc\n")
    t.expect("sync\r\n")
    t.expect("@@ ")
    # A job in the background that reads is stopped.
    t.send("cat &\n")
    t.expect("@@ ")
    t.send("while ! jobs | grep -q Stopped; do sleep 0.1; done; jobs; echo li''sted\n")
    t.expect("listed\r\n")
    expect("Stopped                 cat" in t.seen, t.seen)
    t.expect("@@ ")
    t.send("fg\n")
    t.expect("cat\r\n")
    t.send("to cat\n\x04")
    t.expect("to cat\r\nto cat\r\n")
    t.expect("@@ ")
    t.send("exit 3\n")
    t.finish(3)


def test_size_and_its_changes(s):
    t = bash(s)
    t.send("stty size\n")
    t.expect("24 80")
    t.resize(50, 132)
    t.send("stty size\n")
    t.expect("50 132")
    t.send("exit\n")
    t.finish(0)
    t = Terminal(s.argv(["do", "--", "bash", "-c", "trap 'echo winch $(stty size); exit' WINCH; "
                         "echo up; while :; do sleep 0.1; done"]))
    t.expect("up")
    t.resize(51, 133)
    t.expect("winch 51 133")
    t.finish(0)


def test_stops_and_goes_on_as_a_job(s):
    ident = s.fresh()
    t = Terminal(["bash", "--norc", "--noediting", "-i"], env=dict(os.environ, **PROMPT))
    t.expect("@@ ")
    t.send(" ".join(s.argv(["do", "--name", ident, "--", "sh", "-c",
                            "'echo started; cat; echo over'"])) + "\n")
    t.expect("started\r\n")
    # A shell that waits for its vfork's child to execute cannot stop, nor can its job.
    wait_for(lambda: re.search(r"_ cat$", s.run("ps", ident).out, re.M), "cat")
    t.send("\x1a")
    t.expect("Stopped")
    t.expect("@@ ")
    t.send("echo shell has it\n")
    t.expect("\r\nshell has it")
    t.send("fg\n")
    t.expect("do --name")
    t.send("hello\n")
    t.expect("hello\r\nhello\r\n")
    t.send("\x04")
    t.expect("over")
    t.expect("@@ ")
    t.send("exit\n")
    t.finish(0)


def test_vim_draws(s):
    need("vim")
    path = s.path("text")
    t = Terminal(s.argv(["do", "--", "sh", "-c",
                         "vim -u NONE -N %s; echo got:; cat %s" % (path, path)]))
    t.expect("~")
    t.send("ihello from inside\x1b")
    t.expect("inside")
    t.send(":wq\r")
    t.expect("got:\r\nhello from inside")
    t.finish(0)
    expect(not os.path.exists(path), "written through")


def test_less_and_top(s):
    need("less")
    path = s.path("long")
    with open(path, "w") as f:
        f.writelines("line %d\n" % i for i in range(500))
    t = Terminal(s.argv(["do", "--", "less", path]), rows=10)
    t.expect("line 8")
    t.send(" ")
    t.expect("line 16")
    t.send("G")
    t.expect("line 499")
    t.send("q")
    t.finish(0)
    need("top")
    t = Terminal(s.argv(["do", "--", "top", "-d", "1"]))
    t.expect("PID")
    t.expect("top")
    t.send("q")
    t.finish(0)


def test_restore_at_another_terminal(s):
    ident, image = s.fresh(), s.path("image")
    script = ("stty -echo -icanon min 1; echo ready; while IFS= read -r -n1 k; do "
              "echo \"key=$k size=$(stty size)\"; test \"$k\" = q && exit 6; done")
    t = Terminal(s.argv(["do", "--name", ident, "--", "bash", "-c", script]))
    t.expect("ready")
    t.send("a")
    t.expect("key=a size=24 80")
    expect(not t.modes()[3] & termios.ICANON, "raw here")
    s.ok("checkpoint", "--image-path", image, ident)
    t.finish(137)
    u = Terminal(s.argv(["restore", "--image-path", image, s.fresh()]), rows=33, cols=99)
    wait_for(lambda: not u.modes()[3] & (termios.ICANON | termios.ECHO), "the guest's modes")
    u.send("b")
    u.expect("key=b size=33 99")
    u.send("q")
    u.finish(6)


def test_restore_without_a_terminal(s):
    ident, image = s.fresh(), s.path("image")
    t = Terminal(s.argv(["do", "--name", ident, "--", "sh", "-c",
                         "echo ready; read x; echo got $x; test -t 0 && echo terminal; "
                         "stty size; read y || echo end"]))
    t.expect("ready")
    s.ok("checkpoint", "--image-path", image, ident)
    t.finish(137)
    r = s.run("restore", "--image-path", image, s.fresh(), input=b"line\n", stdin=None)
    expect(r.out == "got line\nterminal\n24 80\nend\n" and r.status == 0, repr(r))
    r = s.run("restore", "--image-path", image, s.fresh())
    expect("got\nterminal" in r.out and r.status == 0, repr(r))


# ---- OCI terminals ----

def bundle(s, args, terminal=True):
    path = s.path("bundle%d" % s.count)
    os.makedirs(os.path.join(path, "rootfs"))
    root = "/"
    config = {
        "ociVersion": "1.0.2",
        "process": {"terminal": terminal, "args": args, "cwd": "/",
                    "env": ["PATH=/usr/bin:/bin", "TERM=xterm"],
                    "user": {"uid": os.geteuid(), "gid": os.getegid()}},
        "root": {"path": root, "readonly": True},
        "mounts": [
            {"destination": "/proc", "type": "proc", "source": "proc"},
            {"destination": "/dev", "type": "tmpfs", "source": "tmpfs"},
            {"destination": "/dev/pts", "type": "devpts", "source": "devpts",
             "options": ["newinstance", "ptmxmode=0666", "mode=0620", "gid=5"]},
        ],
    }
    with open(os.path.join(path, "config.json"), "w") as f:
        json.dump(config, f)
    return path


SHOW = ("tty; test -c /dev/console && echo console; stty size; "
        "while read x; do echo \"<$x>\"; test $x = end && exit 5; done")


def test_run_with_a_terminal(s):
    ident = s.fresh()
    t = Terminal(s.argv(["run", "--bundle", bundle(s, ["sh", "-c", SHOW]), ident]), 20, 70)
    before = t.modes()
    t.expect("/dev/pts/0\r\nconsole\r\n20 70")
    wait_for(lambda: not t.modes()[3] & termios.ICANON, "raw mode")
    t.send("abc\x7fd\n")
    t.expect("<abd>")
    t.send("end\n")
    t.finish(5)
    expect(before[3] & termios.ICANON, "modes")


class ConsoleSocket:
    def __init__(self, path):
        self.path = path
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.bind(path)
        self.sock.listen(1)

    def take(self):
        conn, _ = self.sock.accept()
        data, anc, _, _ = conn.recvmsg(256, socket.CMSG_SPACE(4))
        expect(data.startswith(b"/dev/"), repr(data))
        fds = array.array("i")
        fds.frombytes(anc[0][2][:4])
        conn.close()
        return fds[0]


def read_from(fd, word, timeout=60):
    data = b""
    while word not in data:
        if not select.select([fd], [], [], timeout)[0]:
            raise AssertionError("waited in vain for %r after %r" % (word, data))
        data += os.read(fd, 65536)
    return data


def test_console_socket(s):
    ident = s.fresh()
    c = ConsoleSocket(s.path("console.sock"))
    path = bundle(s, ["sh", "-c", SHOW])
    s.fails(1, "run", "--detach", "--bundle", path, ident, contains="console-socket")
    s.fails(1, "run", "--detach", "--console-socket", "/nowhere", "--bundle", path, ident,
            contains="/nowhere")
    p = s.start("run", "--detach", "--console-socket", c.path, "--bundle", path, ident,
                stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    master = c.take()
    expect(p.wait(60) == 0, "run")
    read_from(master, b"console")
    os.write(master, b"over the socket\n")
    read_from(master, b"<over the socket>")
    import fcntl
    import struct
    fcntl.ioctl(master, termios.TIOCSWINSZ, struct.pack("HHHH", 44, 111, 0, 0))
    wait_for(lambda: "44 111" in s.run("exec", ident, "stty", "-F", "/dev/pts/0", "size").out,
             "the size")
    image, other = s.path("image"), s.fresh()
    s.ok("checkpoint", "--image-path", image, ident)
    os.close(master)
    s.ok("delete", "--force", ident)
    p = s.start("restore", "--detach", "--console-socket", c.path, "--image-path", image, other,
                stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    master = c.take()
    expect(p.wait(60) == 0, "restore")
    os.write(master, b"again\n")
    read_from(master, b"<again>")
    os.write(master, b"end\n")
    r = s.run("wait", other)
    expect('"exitStatus":5' in r.out, repr(r))
    os.close(master)
    s.ok("delete", "--force", other)


if __name__ == "__main__":
    sys.exit(main([f for name, f in sorted(globals().items()) if name.startswith("test_")]))
