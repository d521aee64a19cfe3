"""A command in a window of tmux, a terminal that can be asked what is on its screen."""

import os
import re
import shutil
import subprocess
import termios
import time

from harness import Skip


class Screen:
    """A tmux server of its own with one window, in which argv runs; at its end the window stays and
    the status is in a file: tmux itself does not tell it reliably."""

    def __init__(self, s, argv, rows=24, cols=80, env=None):
        if not shutil.which("tmux"):
            raise Skip("no tmux here")
        s.count += 1
        self.socket = s.path("tmux%d" % s.count)
        self.status = s.path("tmux-status%d" % s.count)
        env = dict(env or os.environ)
        # Not a window of one that we may run in.
        env.pop("TMUX", None)
        env.pop("TMUX_PANE", None)
        config = s.path("tmux.conf")
        with open(config, "w") as f:
            f.write("set -g status off\nset -g default-terminal screen\n"
                    "set -g escape-time 0\n")
        self.tmux("-f", config, "new-session", "-d", "-x", str(cols), "-y", str(rows), "sh",
                  "-c", '"$@"; echo $? >"$0.new"; mv "$0.new" "$0"; exec sleep 1000000',
                  self.status, *argv, env=env)

    def tmux(self, *args, **kw):
        p = subprocess.run(["tmux", "-u", "-S", self.socket] + list(args), timeout=60,
                           stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                           stderr=subprocess.PIPE, **kw)
        if p.returncode:
            raise AssertionError("tmux %s: %s" % (args[:3], p.stderr.decode()))
        return p.stdout.decode("utf-8", "replace")

    def send(self, text):
        self.tmux("send-keys", "-H", *["%02x" % b for b in text.encode()])

    def text(self):
        return self.tmux("capture-pane", "-p")

    def cursor(self):
        return self.tmux("display-message", "-p", "#{cursor_x},#{cursor_y}").strip()

    def resize(self, rows, cols):
        self.tmux("resize-window", "-x", str(cols), "-y", str(rows))

    def raw(self):
        """Whether keys are not echoed and come at once."""
        with open(self.tmux("display-message", "-p", "#{pane_tty}").strip(), "rb",
                  opener=lambda p, flags: os.open(p, flags | os.O_NOCTTY)) as f:
            return not termios.tcgetattr(f)[3] & (termios.ICANON | termios.ECHO)

    def wait(self, pattern, timeout=40):
        """Until the pattern is on the screen; returns the screen."""
        deadline = time.monotonic() + timeout
        while True:
            text = self.text()
            if re.search(pattern, text, re.M):
                return text
            if time.monotonic() > deadline:
                raise AssertionError("waited in vain for %r on\n%s" % (pattern, text))
            time.sleep(0.05)

    def wait_for_screen(self, text, timeout=40):
        """Until the screen is this one to the last character."""
        deadline = time.monotonic() + timeout
        while self.text() != text:
            if time.monotonic() > deadline:
                raise AssertionError("the screen is\n%s\nand not\n%s" % (self.text(), text))
            time.sleep(0.05)

    def finish(self, timeout=40):
        """Waits for the end of the command; its status, 128 + N for signal N."""
        deadline = time.monotonic() + timeout
        while not os.path.exists(self.status):
            if time.monotonic() > deadline:
                raise AssertionError("it does not end:\n%s" % self.text())
            time.sleep(0.05)
        with open(self.status) as f:
            return int(f.read())

    def close(self):
        if os.path.exists(self.socket):
            subprocess.run(["tmux", "-S", self.socket, "kill-server"], timeout=60,
                           stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)

    def __enter__(self):
        return self

    def __exit__(self, *exc):
        self.close()
