#!/usr/bin/env python3
"""The control socket in the hands of hostile, dead and greedy clients: the sandbox goes on."""

import os
import random
import socket
import sys
import tempfile
import time

from harness import expect, main, wait_for

SCRIPT = "i=0; while [ $i -lt 30 ]; do i=$((i+1)); sleep 0.05; done; exit 7"
# control.Request by hand: id, and an empty message under the number of the call.
SIGNAL, WAIT, STATE, PS, PAUSE, RESUME, CHECKPOINT, COMMIT, END, ATTACHED = \
    3, 4, 5, 6, 7, 8, 9, 10, 11, 12


def request(op, ident=1, body=b""):
    return bytes([0x08, ident, op << 3 | 2, len(body)]) + body


class Client:
    def __init__(self, s, ident):
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        here = os.open(os.path.join(s.root, ident), os.O_RDONLY)
        self.sock.connect("/proc/self/fd/%d/control.sock" % here)
        os.close(here)
        self.sock.settimeout(10)

    def send(self, data, fds=()):
        if fds:
            socket.send_fds(self.sock, [data], list(fds))
        else:
            self.sock.send(data)

    def reply(self):
        """b"" if the server has hung up."""
        for _ in range(2):
            try:
                return self.sock.recv(1 << 17)
            except ConnectionResetError:
                # Told once, and before what had come.
                pass
        return b""


def start(s, ident="victim"):
    return s.start_do(ident, SCRIPT)


def still_well(s, p, ident="victim"):
    expect(s.state(ident)["status"] == "running", "state")
    s.ok("ps", ident)
    expect(p.wait(60) == 7, "%r %r" % (p.returncode, p.stderr.read()))
    s.gone(ident)


def answers(s):
    p = start(s)
    c = Client(s, "victim")
    c.send(request(STATE, 9))
    r = c.reply()
    expect(r[:2] == b"\x08\x09" and b"running" in r, repr(r))
    still_well(s, p)


def garbage(s):
    p = start(s)
    rng = random.Random(5)
    for n in list(range(1, 40)) + [1000, 65535, 65536]:
        c = Client(s, "victim")
        c.send(bytes(rng.randrange(256) for _ in range(n)))
        try:
            c.send(request(STATE))
        except OSError:
            # Hung up on already.
            pass
    c = Client(s, "victim")
    c.send(b"\xff" * 64)
    expect(c.reply() == b"", "hung up on")
    for data in (request(STATE, 0), b"\x08\x01", b"\x08\x01\x9a\x06\x00"):
        c = Client(s, "victim")
        c.send(data)
        c.reply()
    still_well(s, p)


def too_long(s):
    p = start(s)
    c = Client(s, "victim")
    c.sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 1 << 20)
    c.send(request(STATE) + b"\x00" * 70000)
    expect(c.reply() == b"", "hung up on")
    still_well(s, p)


def many_connections(s):
    p = start(s)
    clients = []
    for _ in range(200):
        try:
            clients.append(Client(s, "victim"))
        except OSError:
            break
    del clients
    time.sleep(0.1)
    still_well(s, p)


def nobody_reads(s):
    p = start(s)
    c = Client(s, "victim")
    c.sock.settimeout(0.5)
    try:
        for _ in range(20000):
            c.send(request(PS))
    except OSError:
        pass
    still_well(s, p)


def waiters_come_and_go(s):
    # Long enough for all of them on a busy machine.
    p = s.start_do("victim", SCRIPT.replace("30", "90"))
    keep = Client(s, "victim")
    keep.send(request(WAIT, 3))
    for _ in range(100):
        c = Client(s, "victim")
        c.send(request(WAIT))
        c.sock.close()
    r = keep.reply()
    expect(r[:2] == b"\x08\x03" and p.wait(60) == 7, repr(r))


def unwanted_descriptors(s):
    p = start(s)
    with tempfile.TemporaryFile() as f:
        for n in (1, 5, 16):
            c = Client(s, "victim")
            c.send(request(STATE), [f.fileno()] * n)
            expect(b"running" in c.reply(), "%d descriptors" % n)
        for n in (17, 100):
            c = Client(s, "victim")
            c.send(request(STATE), [f.fileno()] * n)
            c.reply()
        for op in (CHECKPOINT, ATTACHED):
            for n in (0, 1, 4, 6):
                c = Client(s, "victim")
                c.send(request(op), [f.fileno()] * n)
                c.reply()
    still_well(s, p)


def bad_checkpoints(s):
    p = start(s)
    c = Client(s, "victim")
    c.send(request(COMMIT, 1, b"\x08\x01"))
    expect(b"no checkpoint" in c.reply(), "commit without a checkpoint")
    with tempfile.TemporaryFile() as f:
        name = "/proc/self/fd/%d" % f.fileno()
        readonly = os.open(name, os.O_RDONLY)
        r, w = os.pipe()
        os.close(r)
        for fds in ([readonly] * 5, [w] * 5, [f.fileno()] * 4 + [readonly]):
            c = Client(s, "victim")
            c.send(request(CHECKPOINT), fds)
            expect(len(c.reply()) > 2, "a reply")
            c.sock.close()
        os.close(w)
        os.close(readonly)
    still_well(s, p)


def checkpoint_and_gone(s):
    p = start(s)
    for i in range(10):
        files = [tempfile.TemporaryFile() for _ in range(5)]
        c = Client(s, "victim")
        c.send(request(CHECKPOINT), [f.fileno() for f in files])
        if i % 2:
            c.reply()
        c.sock.close()
        for f in files:
            f.close()
    time.sleep(0.2)
    still_well(s, p)


def while_an_image_is_written(s):
    """It is looked at and signalled at once; who wants to change it is told why not."""
    p = start(s)
    seen = False
    for _ in range(100):
        files = [tempfile.TemporaryFile() for _ in range(5)]
        a, b = Client(s, "victim"), Client(s, "victim")
        b.send(request(STATE))
        b.reply()
        a.send(request(CHECKPOINT), [f.fileno() for f in files])
        for op in (PAUSE, RESUME, STATE, SIGNAL):
            b.send(request(op, op))
        pause, resume, state, signal = (b.reply() for _ in range(4))
        expect(b"running" in state or b"paused" in state, repr(state))
        expect(signal == bytes([8, SIGNAL]), repr(signal))
        expect(len(a.reply()) > 2, "checkpoint")
        seen = b"being written" in pause
        if seen:
            expect(b"being" in resume, repr(resume))
        b.send(request(PAUSE))
        expect(b"being finished" in b.reply(), "pause before the commit")
        b.send(request(CHECKPOINT), [f.fileno() for f in files])
        expect(b"being finished" in b.reply(), "a second checkpoint")
        for f in files + [a.sock, b.sock]:
            f.close()
        if seen:
            break
    expect(seen, "never told that an image is being written")
    still_well(s, p)


def ended_while_an_image_is_written(s):
    for _ in range(5):
        p = start(s)
        files = [tempfile.TemporaryFile() for _ in range(5)]
        a, b = Client(s, "victim"), Client(s, "victim")
        a.send(request(CHECKPOINT), [f.fileno() for f in files])
        b.send(request(END))
        expect(b.reply() == b"\x08\x01", "end")
        expect(p.wait(60) == 137, "%r %r" % (p.returncode, p.stderr.read()))
        s.gone("victim")
        for f in files + [a.sock, b.sock]:
            f.close()


def while_everything_is_reloaded(s):
    p = s.start("do", "--name", "again", "--autosave", "1", "--", "sh", "-c",
                "for i in 1 2 3 4 5 6 7 8 9 10; do cat /proc/self/stat; done >/dev/null; exit 5")
    looks = (["ps"], ["events", "--stats"], ["debug"], ["kill", "--pid", "1"])
    wait_for(lambda: s.run("state", "again").status == 0, "start")
    while p.poll() is None:
        for verb in looks:
            tail = ["CONT"] if verb[0] == "kill" else []
            r = s.run(*verb, "again", *tail)
            expect(r.status == 0 or r.err.count("\n") == 1, repr(r))
    expect(p.wait() == 5, "%r %r" % (p.returncode, p.stderr.read()))


if __name__ == "__main__":
    sys.exit(main([answers, garbage, too_long, many_connections, nobody_reads, waiters_come_and_go,
                   unwanted_descriptors, bad_checkpoints, checkpoint_and_gone,
                   while_an_image_is_written, ended_while_an_image_is_written,
                   while_everything_is_reloaded]))
