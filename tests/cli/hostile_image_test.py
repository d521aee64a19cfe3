#!/usr/bin/env python3
"""Images that somebody changed on purpose, with digests that are right: values, references and names
in records that were never saved so. Restoring one is refused with one line, or what runs is a sandbox
as any other: it can be looked at, saved and ended. Nothing ever crashes or hangs."""

import os
import random
import shutil
import struct
import subprocess
import sys
import time

from harness import Skip, expect, main, one_line

HEAD = 48
RECORD = struct.Struct("<IIQ")

# Many kinds of objects, each in the middle of its work.
GUEST = r"""
import mmap, os, select, signal, socket, sys, tempfile, threading, time
a, b = socket.socketpair()
a.send(b"in flight")
r, w = os.pipe()
os.write(w, b"half read")
listener = socket.create_server(("127.0.0.1", 0))
far = socket.create_connection(listener.getsockname())
near = listener.accept()[0]
near.send(b"on its way")
ep = select.epoll()
for f in (b.fileno(), r, far.fileno(), listener.fileno()):
    ep.register(f, select.EPOLLIN | select.EPOLLET)
nested = select.epoll()
nested.register(ep.fileno(), select.EPOLLIN)
gone = tempfile.TemporaryFile()
gone.write(b"x" * 9000)
gone.flush()
os.lockf(gone.fileno(), os.F_LOCK, 100)
shared = mmap.mmap(-1, 65536)
shared[:4] = b"data"
master, slave = os.openpty()
os.write(master, b"typed\n")
memory = os.memfd_create("memory")
os.write(memory, b"y" * 5000)
os.mkfifo("/tmp/fifo")
fifo = os.open("/tmp/fifo", os.O_RDWR)
signal.signal(signal.SIGALRM, lambda *a: None)
signal.setitimer(signal.ITIMER_REAL, 0.05, 0.05)
for i in range(2):
    threading.Thread(target=lambda: os.read(slave, 1) and time.sleep(1000), daemon=True).start()
if os.fork() == 0:
    os.setsid()
    signal.pause()
os.pidfd_open(os.getpid())
print("ready", flush=True)
while sys.stdin.buffer.raw.read(1):
    pass
"""

# Sockets that share queues and ports: a connection that waits to be accepted, and a group.
SOCKETS = r"""
import socket, sys
listener = socket.create_server(("127.0.0.1", 0))
far = socket.create_connection(listener.getsockname())
group = []
for i in range(2):
    s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
    s.bind(group[0].getsockname() if group else ("127.0.0.1", 0))
    group.append(s)
print("ready", flush=True)
sys.stdin.buffer.raw.read(1)
"""


def varint(data, at):
    value = shift = 0
    while True:
        byte = data[at]
        at += 1
        value |= (byte & 127) << shift
        shift += 7
        if byte < 128:
            return value, at
        if shift > 63:
            raise ValueError


def put_varint(value):
    out = bytearray()
    while value > 127:
        out.append(value & 127 | 128)
        value >>= 7
    return bytes(out) + bytes([value])


def parse(data):
    """[number, wire type, value] of each field; ValueError or IndexError if it is no message."""
    fields, at = [], 0
    while at < len(data):
        key, at = varint(data, at)
        if key >> 3 == 0 or key >> 3 > 100:
            raise ValueError
        if key & 7 == 0:
            value, at = varint(data, at)
        elif key & 7 in (1, 5):
            size = 8 if key & 7 == 1 else 4
            value, at = data[at:at + size], at + size
        elif key & 7 == 2:
            size, at = varint(data, at)
            value, at = data[at:at + size], at + size
            if len(value) != size:
                raise ValueError
        else:
            raise ValueError
        fields.append([key >> 3, key & 7, value])
    return fields


def pack(fields):
    out = bytearray()
    for number, kind, value in fields:
        out += put_varint(number << 3 | kind)
        if kind == 0:
            out += put_varint(value)
        elif kind == 2:
            out += put_varint(len(value)) + value
        else:
            out += value
    return bytes(out)


def other_number(rng, value, ids):
    return rng.choice([
        lambda: value + 1, lambda: value - 1, lambda: 0, lambda: value ^ 1 << rng.randrange(64),
        lambda: rng.randrange(1, ids + 2), lambda: rng.randrange(1, ids + 2),
        lambda: rng.randrange(256), lambda: value + rng.choice([4096, -4096, 1 << 21, 1 << 32]),
        lambda: rng.choice([1 << 31, (1 << 31) - 1, (1 << 32) - 1, 1 << 47, 1 << 63, (1 << 64) - 1]),
    ])() & (1 << 64) - 1


def other_bytes(rng, value):
    at = rng.randrange(len(value) + 1)
    return rng.choice([b"", value[:at], value + b"x", value * 2, b"a" * rng.choice([255, 256, 70000]),
                       b"..", b"/", b"\n\x1b[2J", b"run_exit", b"run_vfork", b"run_stopped",
                       value[:at] + bytes([rng.randrange(256)]) + value[at + 1:]])


def mutate(rng, data, ids):
    """A message like that one."""
    fields = parse(data)
    if not fields:
        return pack([[rng.randrange(1, 20), 0, rng.randrange(1, ids + 1)]])
    f = rng.choice(fields)
    what = rng.randrange(12)
    if what == 0:
        fields.remove(f)
    elif what == 1:
        fields.append(f)
    elif what == 2:
        other = rng.choice(fields)
        if other[1] == f[1]:
            f[2], other[2] = other[2], f[2]
    elif f[1] == 0:
        f[2] = other_number(rng, f[2], ids)
    elif f[1] == 2:
        try:
            inner = parse(f[2])
        except (ValueError, IndexError):
            inner = []
        f[2] = mutate(rng, f[2], ids) if inner and rng.random() < .8 else other_bytes(rng, f[2])
    else:
        f[2] = bytes(b ^ (rng.random() < .1) for b in f[2])
    return pack(fields)


def read(path):
    with open(path, "rb") as f:
        return f.read()


def write(path, data):
    with open(path, "wb") as f:
        f.write(data)


def split_kernel(data):
    """The header and the records of a kernel.img: [type, id, message]."""
    size, = struct.unpack_from("<I", data, HEAD)
    at = HEAD + 4 + size
    records = []
    while at < len(data):
        length, kind, ident = RECORD.unpack_from(data, at)
        at += RECORD.size
        records.append([kind, ident, data[at:at + length]])
        at += length
    return data[HEAD + 4:HEAD + 4 + size], records


def join_kernel(data, header, records):
    body = struct.pack("<I", len(header)) + header
    for kind, ident, message in records:
        body += RECORD.pack(len(message), kind, ident) + message
    return data[:24] + struct.pack("<Q", len(body)) + data[32:HEAD] + body


def change(rng, image):
    """Changes files of the image; returns what was changed."""
    name = rng.choice(["kernel.img"] * 10 + ["pagemap.img", "inventory.img"])
    data = read(os.path.join(image, name))
    header, records = split_kernel(data) if name == "kernel.img" else (b"", [])
    if name == "kernel.img":
        done = []
        for _ in range(rng.choice([1, 1, 2, 4])):
            kind = rng.choice(sorted({r[0] for r in records}))
            r = rng.choice([r for r in records if r[0] == kind])
            if rng.random() < .1:
                r[2] = rng.choice([o for o in records if o[0] == kind])[2]
            elif rng.random() < .03:
                r[0] = rng.choice(records)[0]
            else:
                r[2] = mutate(rng, r[2], len(records))
            done.append("record %d" % r[1])
        os.unlink(os.path.join(image, name))
        write(os.path.join(image, name), join_kernel(data, header, records))
        return ", ".join(done)
    body = mutate(rng, data[HEAD:], 100)
    if name == "inventory.img":
        write(os.path.join(image, "inventory"), body)
    else:
        os.unlink(os.path.join(image, name))
        write(os.path.join(image, name),
              data[:24] + struct.pack("<Q", len(body)) + data[32:HEAD] + body)
    return name


def reseal(s, image):
    tool = os.path.join(os.path.dirname(s.stasis), "tests", "cli", "reseal")
    if not os.access(tool, os.X_OK):
        raise Skip("no " + tool)
    # A file of its own: the others may be links to the good image's.
    shutil.copy(os.path.join(image, "inventory.img"), os.path.join(image, "own"))
    os.rename(os.path.join(image, "own"), os.path.join(image, "inventory.img"))
    subprocess.run([tool, image], check=True, timeout=60)


def make_image(s, guest=GUEST):
    ident = s.fresh()
    p = s.start("do", "--name", ident, "--", "/usr/bin/python3", "-c", guest, stdin=subprocess.PIPE,
                bufsize=0)
    if p.stdout.readline() != b"ready\n":
        p.kill()
        raise AssertionError("no start: %r" % p.stderr.read())
    s.ok("checkpoint", "--image-path", s.path("good"), ident)
    p.wait(60)


def copy_of_good(s):
    bad = s.path("bad")
    shutil.rmtree(bad, ignore_errors=True)
    os.mkdir(bad)
    for f in os.listdir(s.path("good")):
        os.link(s.path("good/" + f), os.path.join(bad, f))
    return bad


def well_behaved(s, image, what):
    ident = s.fresh()
    with open(s.path("err"), "w+b") as err:
        p = s.start("restore", "--memory", "512M", "--pids", "100", "--image-path", image, ident,
                    stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, stderr=err)
        deadline = time.monotonic() + 60
        ran = False
        while p.poll() is None and not ran:
            r = s.run("state", ident)
            ran = r.status == 0 and '"running"' in r.out
            expect(time.monotonic() < deadline, what + ": neither refused nor running")
        if ran:
            for words in (["ps", ident], ["debug", ident],
                          ["checkpoint", "--leave-running", "--image-path", s.path("again"), ident]):
                r = s.run(*words)
                expect(r.status in (0, 1), "%s: %s: %r" % (what, words[0], r))
            shutil.rmtree(s.path("again"), ignore_errors=True)
            s.run("delete", "--force", ident)
        p.wait(60)
        err.seek(0)
        text = err.read().decode("utf-8", "replace")
    ended = "container %s died: its sentry was killed by signal 9 (KILL)" % ident
    expect("died" not in text or (ran and ended in text), "%s: %s" % (what, text[-500:]))
    if p.returncode == 1 and text.startswith("stasis: "):
        expect(text.count("\n") == 1, "%s: not one line: %r" % (what, text[-500:]))
    s.gone(ident)
    return "ran" if ran else "refused"


def sealed_anew(s):
    """The tool does what the tests below rely on."""
    make_image(s)
    bad = copy_of_good(s)
    reseal(s, bad)
    s.ok("image", "verify", bad)
    expect(well_behaved(s, bad, "unchanged") == "ran", "an unchanged image is refused")


def changed(s):
    make_image(s)
    count = {"ran": 0, "refused": 0}
    for seed in range(100):
        rng = random.Random(seed)
        bad = copy_of_good(s)
        what = "seed %d: %s" % (seed, change(rng, bad))
        reseal(s, bad)
        for verb in ("verify", "show", "tree", "decode"):
            r = s.run("image", verb, bad)
            expect(r.status in (0, 1), "%s: image %s: %r" % (what, verb, r))
            if r.status:
                one_line(r, 1)
        count[well_behaved(s, bad, what)] += 1
    expect(min(count.values()) > 10, "all changes were of one kind: %r" % count)


def packed(value):
    numbers, at = [], 0
    while at < len(value):
        n, at = varint(value, at)
        numbers.append(n)
    return numbers


def get(fields, number, default=None):
    return next((f[2] for f in fields if f[0] == number), default)


def put(fields, number, value):
    fields[:] = [f for f in fields if f[0] != number]
    fields.append([number, 0 if isinstance(value, int) else 2, value])


def taken_before_it_began(socks, groups):
    """Who waits to be accepted is still to connect, and soon."""
    queue = next(get(m, 14) for m in socks.values() if get(m, 14))
    m = socks[packed(queue)[0]]
    m[:] = [f for f in m if f[0] not in (5, 6)]
    put(m, 2, 2)
    put(m, 23, 2)


def in_another_group(socks, groups):
    """A listener is in a group of datagram sockets."""
    ident = next(i for i, m in socks.items() if get(m, 2) == 10)
    group = next(iter(groups))
    inet = parse(get(socks[ident], 1))
    put(inet, 10, group)
    put(socks[ident], 1, pack(inet))
    put(groups[group], 1, get(groups[group], 1) + put_varint(ident))


def mixed_up_sockets(s):
    """References that are of the right kind, to sockets of the wrong one."""
    make_image(s, SOCKETS)
    for lie, why in ((taken_before_it_began, "a connection that is taken before it has begun"),
                     (in_another_group, "a group of different sockets")):
        bad = copy_of_good(s)
        path = os.path.join(bad, "kernel.img")
        data = read(path)
        header, records = split_kernel(data)
        types = [f[2] for f in parse(header) if f[1] == 2]
        of = {}
        for name in (b"sentry.TcpSock", b"sentry.ReuseGroup"):
            of[name] = {r[1]: parse(r[2]) for r in records if types[r[0]] == name}
        lie(of[b"sentry.TcpSock"], of[b"sentry.ReuseGroup"])
        for r in records:
            if types[r[0]] in of:
                r[2] = pack(of[types[r[0]]][r[1]])
        os.unlink(path)
        write(path, join_kernel(data, header, records))
        reseal(s, bad)
        r = s.run("restore", "--image-path", bad, s.fresh())
        expect(r.status == 1 and why in r.err, "%s: %r" % (lie.__name__, r))


if __name__ == "__main__":
    sys.exit(main([sealed_anew, changed, mixed_up_sockets]))
