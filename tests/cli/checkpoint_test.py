#!/usr/bin/env python3
"""Checkpoints and restores through the command line: what works, and what a failure leaves."""

import json
import os
import signal
import subprocess
import sys
import time

from harness import Skip, expect, main, one_line, read_until, wait_for

# Counts to 40 with a checksum over all it has seen, so that a lost or repeated step shows. Halfway
# it waits for its standard input, so that it is there to be checkpointed for as long as that takes.
COUNT = ("i=0; sum=0; while [ $i -lt 40 ]; do i=$((i+1)); sum=$(( (sum*31+i) % 65521 )); "
         "echo $i; sleep 0.02; if [ $i = 20 ]; then read x; fi; done; echo sum $sum; exit 5")


def counted():
    total = 0
    for i in range(1, 41):
        total = (total * 31 + i) % 65521
    return "".join("%d\n" % i for i in range(1, 41)) + "sum %d\n" % total


OTHER = {"systrap": "ptrace", "ptrace": "systrap"}


def images_are_whole(s, image):
    expect(sorted(os.listdir(image)) == ["inventory.img", "kernel.img", "pagemap.img",
                                         "pages.img", "stats-dump"], repr(os.listdir(image)))
    s.ok("image", "verify", image)


def leftover_files(s, *expected):
    names = sorted(n for n in os.listdir(s.tmp) if n not in ("root",) + expected)
    expect(names == [], "left behind: %s" % names)


def start_count(s, ident, step=b"7\n"):
    """A counting sandbox that has come to that step, and its output so far."""
    p = s.start_do(ident, COUNT, stdin=subprocess.PIPE)
    return p, read_until(p.stdout, step)


def there_and_back(s, compression, platform):
    ident = s.fresh()
    p, out = start_count(s, ident)
    s.ok("checkpoint", "--image-path", s.path("img"), "--compression", compression, ident)
    expect(p.wait(60) == 137, "the first one ends: %r" % p.returncode)
    out += p.stdout.read()
    s.gone(ident)
    images_are_whole(s, s.path("img"))
    r = s.run("restore", "--image-path", s.path("img"), ident + "b", platform=platform)
    expect(r.status == 5 and out.decode() + r.out == counted() and not r.err,
           "%r then %r" % (out, r))
    s.gone(ident + "b")
    leftover_files(s, "img")


def same_platform(s):
    there_and_back(s, "none", s.platform)


def other_platform(s):
    there_and_back(s, "none", OTHER[s.platform])


def compressed(s):
    there_and_back(s, "lz4", OTHER[s.platform])


def files_as_standard_descriptors(s):
    """A restore goes on in the files of the first run, but not at their offsets in another's."""
    for name, text in (("in", "one\ntwo\nthree\n"), ("log", "what the caller wrote before\n")):
        with open(s.path(name), "w") as f:
            f.write(text)
    with open(s.path("in")) as i, open(s.path("out"), "w") as o:
        hold, let_go = os.pipe()
        p = s.start("do", "--name", "files", "--", "sh", "-c",
                    "read a; echo $a; read wait <&2; read b; echo $b", stdin=i, stdout=o,
                    stderr=hold)
        wait_for(lambda: os.path.getsize(s.path("out")) == 4, "first line")
        s.ok("checkpoint", "--image-path", s.path("img"), "files")
        p.wait(60)
        os.close(hold)
        os.close(let_go)
    with open(s.path("in")) as i, open(s.path("out"), "r+") as o, open(s.path("log"), "r+") as log:
        log.seek(0, os.SEEK_END)
        for n, out in enumerate((o, log)):
            i.seek(0)
            p = s.start("restore", "--image-path", s.path("img"), "files%d" % n, stdin=i,
                        stdout=out, stderr=subprocess.DEVNULL)
            expect(p.wait(60) == 0, "restored: %r" % p.returncode)
    with open(s.path("out")) as o, open(s.path("log")) as log:
        out, log = o.read(), log.read()
    expect(out == "one\ntwo\n", repr(out))
    expect(log == "what the caller wrote before\ntwo\n", repr(log))


def leave_running(s):
    p, out = start_count(s, "leave")
    s.ok("checkpoint", "--leave-running", "--image-path", s.path("img"), "leave")
    p.stdin.close()
    out += p.stdout.read()
    expect(p.wait(60) == 5 and out.decode() == counted(), "the first one: %r" % out)
    # As often as one likes, and at once.
    both = [s.start("restore", "--image-path", s.path("img"), "r%d" % i) for i in range(3)]
    for q in both:
        text = q.stdout.read().decode()
        expect(q.wait(60) == 5 and text.endswith(counted()[-20:]), "restored: %r %r" %
               (text, q.stderr.read()))


def rounds(s):
    ident = s.fresh()
    p = s.start_do(ident, COUNT, stdin=subprocess.PIPE)
    out = b""
    platform = s.platform
    for i, step in enumerate((b"4\n", b"8\n", b"12\n", b"16\n", b"19\n")):
        out += read_until(p.stdout, step)
        s.ok("checkpoint", "--image-path", s.path("img%d" % i), ident)
        expect(p.wait(60) == 137, "ends")
        out += p.stdout.read()
        platform = OTHER[platform]
        ident = s.fresh()
        p = s.start("restore", "--image-path", s.path("img%d" % i), ident, platform=platform,
                    bufsize=0, stdin=subprocess.PIPE)
    p.stdin.close()
    out += p.stdout.read()
    expect(p.wait(60) == 5 and out.decode() == counted(), repr(out))


def background(s):
    p, out = start_count(s, "bg")
    s.ok("checkpoint", "--image-path", s.path("img"), "bg")
    out += p.stdout.read()
    r = s.run("restore", "--background", "--image-path", s.path("img"), "bg2")
    expect(r.status == 5 and out.decode() + r.out == counted(), repr(r))


def paused_container(s):
    p, out = start_count(s, "pz")
    s.ok("pause", "pz")
    s.ok("checkpoint", "--leave-running", "--image-path", s.path("img"), "pz")
    expect(s.state("pz")["status"] == "paused", "stays paused")
    s.ok("resume", "pz")
    p.stdin.close()
    out += p.stdout.read()
    expect(p.wait(60) == 5 and out.decode() == counted(), repr(out))


def detached_restore(s):
    p = s.start_do("det", "read x; exit 6", stdin=subprocess.PIPE)
    s.ok("checkpoint", "--image-path", s.path("img"), "det")
    p.wait(60)
    subprocess.run(s.argv(["restore", "--detach", "--image-path", s.path("img"), "det2"]),
                   stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                   stderr=subprocess.DEVNULL, timeout=60, check=True)
    expect(json.loads(s.ok("wait", "det2").out)["exitStatus"] == 6, "wait")
    s.ok("delete", "det2")
    s.gone("det2")


def looking_inside(s):
    p = s.start_do("look", "cd /usr; exec 7</etc/passwd; sleep 100 | sleep 101 & wait")
    wait_for(lambda: s.ok("ps", "look").out.count(" sleep 10") == 4, "ps")
    s.ok("checkpoint", "--image-path", s.path("img"), "look")
    p.wait(60)
    show = s.ok("image", "show", s.path("img")).out
    for word in ("look", s.platform, "sleep 100", "sleep 101", "processes   4", "compression none"):
        expect(word in show, "%r in %s" % (word, show))
    tree = s.ok("image", "tree", s.path("img")).out
    for word in ("/etc/passwd", "cwd  /usr", "pipe", "mounts", "/proc"):
        expect(word in tree, "%r in %s" % (word, tree))
    whole = json.loads(s.ok("image", "decode", s.path("img")).out)
    expect(sorted(whole) == ["inventory.img", "kernel.img", "pagemap.img", "stats-dump"],
           repr(list(whole)))
    for name in ("inventory.img", "kernel.img", "pagemap.img", "stats-dump"):
        json.loads(s.ok("image", "decode", s.path("img/" + name)).out)


# Failures. The sandbox must go on to its right end every time.

def goes_on(s, p, out):
    p.stdin.close()
    out += p.stdout.read()
    expect(p.wait(60) == 5 and out.decode() == counted(), "it does not go on: %r" % out)


def image_exists(s):
    p, out = start_count(s, "x")
    os.makedirs(s.path("full"))
    open(s.path("full/file"), "w").close()
    open(s.path("plain"), "w").close()
    s.fails(1, "checkpoint", "--image-path", s.path("full"), "x", contains="exists")
    s.fails(1, "checkpoint", "--image-path", s.path("plain"), "x", contains="exists")
    os.makedirs(s.path("empty"))
    s.ok("checkpoint", "--leave-running", "--image-path", s.path("empty"), "x")
    images_are_whole(s, s.path("empty"))
    leftover_files(s, "full", "plain", "empty")
    goes_on(s, p, out)


def no_directory(s):
    p, out = start_count(s, "x")
    s.fails(1, "checkpoint", "--image-path", s.path("no/img"), "x", contains=s.path("no/img"))
    s.fails(1, "checkpoint", "--image-path", "/proc/img", "x", contains="/proc/img")
    leftover_files(s)
    goes_on(s, p, out)


def disk_full(s):
    if os.geteuid() != 0:
        raise Skip("needs root to mount")
    os.makedirs(s.path("disk"))
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=12k", "none", s.path("disk")],
                      capture_output=True).returncode:
        raise Skip("mounting is not allowed here")
    try:
        p, out = start_count(s, "x")
        for compression in ("none", "lz4"):
            s.fails(1, "checkpoint", "--compression", compression, "--image-path",
                    s.path("disk/img"), "x", contains="space")
            expect(os.listdir(s.path("disk")) == [], "left: %s" % os.listdir(s.path("disk")))
        goes_on(s, p, out)
    finally:
        subprocess.run(["umount", s.path("disk")])


def killed_command(s):
    """Killed at many moments: either there is no image, or there is a whole one."""
    for i in range(12):
        ident = s.fresh()
        p, out = start_count(s, ident, b"2\n")
        image = "img%d" % i
        c = s.start("checkpoint", "--leave-running", "--image-path", s.path(image), ident)
        time.sleep(0.002 * i)
        c.kill()
        c.wait()
        goes_on(s, p, out)
        if os.path.exists(s.path(image)):
            images_are_whole(s, s.path(image))
            leftover_files(s, *["img%d" % k for k in range(i + 1)])


def killed_command_that_ends_the_sandbox(s):
    for i in range(12):
        ident = s.fresh()
        p, out = start_count(s, ident, b"2\n")
        c = s.start("checkpoint", "--image-path", s.path("img"), ident)
        time.sleep(0.002 * i)
        c.kill()
        c.wait()
        p.stdin.close()
        out += p.stdout.read()
        status = p.wait(60)
        # Exactly one of the two lives on.
        if os.path.exists(s.path("img")):
            if status == 137:
                r = s.run("restore", "--image-path", s.path("img"), ident + "b")
                expect(r.status == 5 and out.decode() + r.out == counted(), repr(r))
            else:
                expect(status == 5 and out.decode() == counted(), repr(out))
            subprocess.run(["rm", "-r", s.path("img")])
        else:
            expect(status == 5 and out.decode() == counted(), "%d %r" % (status, out))


def two_checkpoints_at_once(s):
    p, out = start_count(s, "two")
    procs = [s.start("checkpoint", "--leave-running", "--image-path", s.path("img%d" % i), "two")
             for i in range(3)]
    done = 0
    for i, c in enumerate(procs):
        c.wait(60)
        err = c.stderr.read().decode()
        if c.returncode == 0:
            done += 1
            images_are_whole(s, s.path("img%d" % i))
        else:
            expect(err.count("\n") == 1 and "another checkpoint" in err or "being" in err, err)
    expect(done >= 1, "none")
    goes_on(s, p, out)


def restore_errors(s):
    p = s.start_do("x", "cd /usr; sleep 100")
    s.ok("checkpoint", "--leave-running", "--image-path", s.path("img"), "x")
    s.fails(1, "restore", "--image-path", s.path("img"), "x", contains="exists")
    s.fails(1, "restore", "--image-path", s.path("img/pages.img"), "y", contains="pages.img")
    s.fails(1, "restore", "--image-path", "/", "y", contains="inventory.img is missing")
    s.fails(1, "restore", "--image-path", s.path("img"), "--bundle", s.path("nope"), "y",
            contains="nope")
    s.ok("delete", "--force", "x")
    p.wait(60)


def changed_host_files(s):
    os.makedirs(s.path("data"))

    def write(name, text):
        with open(s.path("data/" + name), "w") as f:
            f.write(text)

    for change, word in ((lambda: os.unlink(s.path("data/f")), "data/f"),
                         (lambda: write("f", "other length"), "data/f")):
        write("f", "content\n" * 1000)
        ident = s.fresh()
        p = s.start_do(ident, "exec 5<%s; read x <&5; echo open; read z; read y <&5; echo $y; "
                       "exit 8" % s.path("data/f"), stdin=subprocess.PIPE)
        read_until(p.stdout, b"open\n")
        s.ok("checkpoint", "--image-path", s.path("img"), ident)
        p.wait(60)
        r = s.run("restore", "--image-path", s.path("img"), ident + "a")
        expect(r.status == 8 and r.out == "content\n", repr(r))
        change()
        r = s.run("restore", "--image-path", s.path("img"), ident + "b")
        one_line(r, 1, word)
        subprocess.run(["rm", "-r", s.path("img")])


if __name__ == "__main__":
    sys.exit(main([same_platform, other_platform, compressed, files_as_standard_descriptors,
                   leave_running, rounds, background,
                   paused_container, detached_restore, looking_inside, image_exists, no_directory,
                   disk_full, killed_command, killed_command_that_ends_the_sandbox,
                   two_checkpoints_at_once, restore_errors, changed_host_files]))
