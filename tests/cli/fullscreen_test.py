#!/usr/bin/env python3
"""Full-screen programs: drawn as they draw natively, checkpointed in the middle of their work, and
restored on the other platform at another terminal, where they go on."""

import os
import re
import shutil
import sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from harness import Skip, expect, main, wait_for
from screen import Screen

# vim-tiny has the name vi alone.
VIM = [shutil.which("vim") or "vi", "-u", "NONE", "-i", "NONE", "-N", "-n", "--cmd", "set shortmess+=I ruler"]


def need(program):
    if not shutil.which(program):
        raise Skip("no %s here" % program)


def other(s):
    return "ptrace" if s.platform == "systrap" else "systrap"


def environ(s):
    """Nothing of whoever runs the tests shows on the screens."""
    return {"PATH": os.environ["PATH"], "HOME": s.tmp, "LC_ALL": "C.UTF-8", "PS1": "@@ ",
            "HISTFILE": ""}


def side_by_side(s, argv, steps):
    """Runs it natively and in a sandbox; after each (keys, pattern) of steps the screens are the
    same. Returns the sandbox's id and screen, which is still there."""
    ident = s.fresh()
    native = Screen(s, argv, env=environ(s))
    inside = None
    try:
        inside = Screen(s, s.argv(["do", "--name", ident, "--"] + argv), env=environ(s))
        for keys, pattern in steps:
            if keys:
                native.send(keys)
                inside.send(keys)
            # What is awaited is drawn last, or all is drawn at once.
            native.wait(pattern)
            inside.wait(pattern)
            for _ in range(100):
                if native.text() == inside.text() and native.cursor() == inside.cursor():
                    break
            else:
                inside.wait_for_screen(native.text())
                expect(inside.cursor() == native.cursor(), "cursors: " + inside.cursor())
        return ident, inside
    except BaseException:
        if inside:
            inside.close()
        raise
    finally:
        native.close()


def move(s, ident, screen, rows=24, cols=80):
    """Checkpoints it, waits for the end of its command, restores it on the other platform."""
    s.count += 1
    image, new = s.path("image%d" % s.count), s.fresh()
    s.ok("checkpoint", "--image-path", image, ident, timeout=60)
    status = screen.finish()
    expect(status == 137, "the first sandbox ended with %s:\n%s" % (status, screen.text()))
    s.gone(ident)
    screen.close()
    shown = s.ok("image", "show", image).out
    screen = Screen(s, s.argv(["restore", "--image-path", image, new], other(s)), rows, cols,
                    env=environ(s))
    # What is typed earlier is for whoever had the terminal before.
    wait_for(screen.raw, "the guest's modes", timeout=40)
    return shown, new, screen


def test_vim_keeps_unsaved_text(s):
    need(VIM[0])
    path = s.path("text.c")
    script = " ".join("'%s'" % w for w in VIM) + " %s; echo =; cat %s" % (path, path)
    ident, inside = side_by_side(s, ["sh", "-c", script], [
        ("", r"\[New\]"),
        ("iint main(void)\r{\r\treturn 0;\r}\x1b", r"^}.*(\n~)+\n.*4,1"),
        (":split\r:set list\r", r"return 0;\$(.*\n)+.*return 0;"),
        ("gg/return\r", r" 3,2-9 "),
        ("ox = 1; /* unsaved", r"INSERT"),
    ])
    with inside:
        inside.wait("unsaved")
        before = inside.text()
        _, new, after = move(s, ident, inside)
    with after:
        # Still in insert mode. The new terminal is blank until it draws everything anew.
        after.send(" but kept */\x1b\x0c")
        after.wait("kept \\*/")
        expect(after.text().count("unsaved but kept") == 2 and before.count("unsaved") == 2,
               after.text())
        after.send(":wqa\r")
        after.wait(r"^=\nint main\(void\)\n{\n\s+return 0;\nx = 1; /\* unsaved but kept \*/\n}")
        expect(after.finish() == 0, "status:\n" + after.text())
    s.gone(new)
    expect(not os.path.exists(path), "written through")


def test_less_in_the_middle_of_a_file(s):
    need("less")
    path = s.path("long")
    with open(path, "w") as f:
        f.writelines("line %d\n" % i for i in range(5000))
    ident, inside = side_by_side(s, ["less", path], [
        ("", r"line 22\n.*long"),
        (" ", r"^line 45\n:"),
        ("/4[0-9]99\r", r"^line 4099\n(.*\n)*line 4121\n:"),
        ("-N\r", r"^ +4100 line 4099\n"),
    ])
    with inside:
        before = inside.text()
        _, new, after = move(s, ident, inside, rows=30)
    with after:
        after.wait(r"^ +4128 line 4127\n:")
        expect(after.text().startswith(before.rsplit("\n:", 1)[0]), after.text())
        after.send("n")
        after.wait(r"^ +4200 line 4199\n")
        after.send("G")
        after.wait(r"^ +5000 line 4999\n")
        after.send("q")
        expect(after.finish() == 0, "status:\n" + after.text())
    s.gone(new)


def test_top_goes_on(s):
    need("top")
    ident = s.fresh()
    with Screen(s, s.argv(["do", "--name", ident, "--", "sh", "-c", "sleep 1234 & top -d 1"]),
                env=environ(s)) as inside:
        inside.wait(r"^top - [0-9:]+ up (.*\n)+ *PID USER (.*\n)+.* sleep *\n")
        inside.send("c")
        inside.wait(r"sleep 1234")
        _, new, after = move(s, ident, inside, rows=40, cols=100)
    with after:
        after.wait(r"sleep 1234")
        first = after.wait(r"^top - ([0-9:]+) up")[:14]
        wait_for(lambda: after.text()[:6] == "top - " and after.text()[:14] != first, "the next",
                 timeout=40)
        after.send("q")
        expect(after.finish() == 0, "status:\n" + after.text())
    s.gone(new)


def test_tmux_with_two_panes(s):
    need("tmux")
    ident = s.fresh()
    config = s.path("inner.conf")
    with open(config, "w") as f:
        f.write("set -g status off\nset -g escape-time 0\nset -g default-shell /bin/sh\n")
    job = "'n=0; while :; do n=$((n+1)); echo count $n; sleep 0.2; done'"
    inner = "tmux -S %s" % s.path("inner")
    with Screen(s, s.argv(["do", "--name", ident, "--", "sh", "-c",
                           "%s -f %s new-session %s" % (inner, config, job)]),
                env=environ(s)) as inside:
        inside.wait("count 3")
        s.ok("exec", ident, "sh", "-c", inner + " split-window -h 'bash --norc -i'")
        inside.wait(r"│@@")
        inside.send("sleep 1000 | cat & stty size; jobs\r")
        inside.wait(r"│24 39\n.*│\[1\]\+ +Running +sleep")
        _, new, after = move(s, ident, inside, rows=20, cols=70)
    with after:
        text = after.wait(r"│\[1\]\+ +Running +slee")
        at = max(int(n) for n in re.findall(r"count (\d+)", text))
        after.wait("count %d" % (at + 5))
        after.send("jobs; kill %1; wait; stty size; echo 'e'nd\r")
        after.wait(r"│20 34(.*\n)*.*│end")
        after.send("exit\r")
        after.wait(r"^count \d+ *$")
        after.send("\x03")
        status = after.finish()
        expect(status == 0, "status %s" % status)
    s.gone(new)


if __name__ == "__main__":
    sys.exit(main([f for name, f in sorted(globals().items()) if name.startswith("test_")]))
