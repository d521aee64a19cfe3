#!/usr/bin/env python3
"""Damaged images: every file truncated at many lengths and with single bytes flipped. Restoring one
is refused with one line that names the file, and so is verifying it; nothing ever crashes."""

import os
import random
import shutil
import subprocess
import sys

from harness import expect, main, one_line

FILES = ["inventory.img", "kernel.img", "pagemap.img", "pages.img"]


def make_image(s, compression):
    """A sandbox that ends with its standard input, so that a restore that is not refused ends."""
    ident = s.fresh()
    p = s.start_do(ident, "exec 5</etc/passwd 9<&0; (read y <&9; echo x) | cat & wait; exit 7",
                   stdin=subprocess.PIPE)
    s.ok("checkpoint", "--compression", compression, "--image-path", s.path("good"), ident)
    p.wait(60)
    r = s.run("restore", "--image-path", s.path("good"), ident + "b")
    expect(r.status == 7, "the good image: %r" % r)


def damaged(s, name, data):
    """The good image with one file replaced."""
    bad = s.path("bad")
    shutil.rmtree(bad, ignore_errors=True)
    os.mkdir(bad)
    for f in os.listdir(s.path("good")):
        if f != name:
            os.link(s.path("good/" + f), os.path.join(bad, f))
    if data is not None:
        with open(os.path.join(bad, name), "wb") as f:
            f.write(data)
    return bad


def must_refuse(s, name, data, what, restore=True):
    bad = damaged(s, name, data)
    r = s.run("image", "verify", bad)
    try:
        one_line(r, 1, name)
        if restore:
            r = s.run("restore", "--image-path", bad, "bad")
            one_line(r, 1, name)
    except AssertionError as e:
        raise AssertionError("%s %s: %s" % (name, what, e))
    for verb in ("show", "tree", "decode"):
        r = s.run("image", verb, bad)
        expect(r.status in (0, 1), "image %s, %s %s: %r" % (verb, name, what, r))


def may_run(s, name, data, what):
    """Raw pages are not looked at before the program touches them: what runs may go wrong in any
    way of its own, but not the sandbox."""
    r = s.run("restore", "--image-path", damaged(s, name, data), "bad")
    expect("died" not in r.err and r.status != 139 - 128, "%s %s: %r" % (name, what, r)) \
        if "died" in r.err else None


def content(s, name):
    with open(s.path("good/" + name), "rb") as f:
        return f.read()


def lengths(size, n, rng):
    picked = {0, 1, 7, 8, 15, 16, 31, 63, 100, size // 2, size - 1, size - 8, size - 4096}
    picked |= {rng.randrange(size) for _ in range(n)}
    return sorted(x for x in picked if 0 <= x < size)


def truncated(s):
    make_image(s, "none")
    rng = random.Random(1)
    for name in FILES:
        data = content(s, name)
        for n in lengths(len(data), 8, rng):
            must_refuse(s, name, data[:n], "cut to %d of %d" % (n, len(data)))


def longer(s):
    make_image(s, "none")
    for name in FILES:
        must_refuse(s, name, content(s, name) + b"\0", "longer by one")
        must_refuse(s, name, content(s, name) * 2, "twice")


def missing(s):
    make_image(s, "none")
    for name in FILES:
        must_refuse(s, name, None, "missing")


def swapped(s):
    make_image(s, "none")
    for a in FILES:
        for b in FILES:
            if a != b:
                must_refuse(s, a, content(s, b), "replaced by " + b)


def flipped(s):
    make_image(s, "none")
    rng = random.Random(2)
    for name in FILES[:3]:
        data = content(s, name)
        at = set(range(min(len(data), 24))) | {rng.randrange(len(data)) for _ in range(30)}
        for i in sorted(at):
            bad = bytearray(data)
            bad[i] ^= 1 << rng.randrange(8)
            must_refuse(s, name, bytes(bad), "byte %d" % i)


def flipped_pages(s):
    make_image(s, "none")
    rng = random.Random(3)
    data = content(s, "pages.img")
    for i in [0, len(data) - 1] + [rng.randrange(len(data)) for _ in range(10)]:
        bad = bytearray(data)
        bad[i] ^= 0x10
        must_refuse(s, "pages.img", bytes(bad), "byte %d" % i, restore=False)
        may_run(s, "pages.img", bytes(bad), "byte %d" % i)


def compressed_damage(s):
    make_image(s, "lz4")
    rng = random.Random(4)
    for name in FILES:
        data = content(s, name)
        for n in lengths(len(data), 4, rng):
            must_refuse(s, name, data[:n], "lz4 cut to %d of %d" % (n, len(data)))
        for i in [rng.randrange(len(data)) for _ in range(10)]:
            bad = bytearray(data)
            bad[i] ^= 1 << rng.randrange(8)
            must_refuse(s, name, bytes(bad), "lz4 byte %d" % i, restore=name != "pages.img")
            if name == "pages.img":
                may_run(s, name, bytes(bad), "lz4 byte %d" % i)


def not_files(s):
    make_image(s, "none")
    for name in FILES:
        bad = damaged(s, name, None)
        os.mkdir(os.path.join(bad, name))
        one_line(s.run("restore", "--image-path", bad, "bad"), 1, name)
        os.rmdir(os.path.join(bad, name))
        os.mkfifo(os.path.join(bad, name))
        one_line(s.run("restore", "--image-path", bad, "bad"), 1, name)
        os.unlink(os.path.join(bad, name))
        os.symlink("/dev/zero", os.path.join(bad, name))
        one_line(s.run("restore", "--image-path", bad, "bad"), 1, name)


def nothing_left(s):
    make_image(s, "none")
    data = content(s, "kernel.img")
    for _ in range(5):
        must_refuse(s, "kernel.img", data[:-1], "cut by one")
    s.gone("bad")
    subprocess.run(["rm", "-rf", s.path("bad")], check=True)


if __name__ == "__main__":
    sys.exit(main([truncated, longer, missing, swapped, flipped, flipped_pages, compressed_damage,
                   not_files, nothing_left]))
