"""A command on a pty of the host, as a user at a terminal sees it."""

import fcntl
import os
import pty
import select
import signal
import struct
import termios
import time

from harness import expect


class Terminal:
    def __init__(self, argv, rows=24, cols=80, env=None, shell=False):
        self.seen = ""
        self.mark = 0
        self.status = None
        self.pid, self.fd = pty.fork()
        if self.pid == 0:
            try:
                fcntl.ioctl(0, termios.TIOCSWINSZ, struct.pack("HHHH", rows, cols, 0, 0))
                for sig in (signal.SIGINT, signal.SIGQUIT, signal.SIGTSTP, signal.SIGHUP,
                            signal.SIGPIPE):
                    signal.signal(sig, signal.SIG_DFL)
                os.execvpe(argv[0], argv, dict(env or os.environ, TERM="xterm"))
            finally:
                os._exit(99)

    def resize(self, rows, cols):
        fcntl.ioctl(self.fd, termios.TIOCSWINSZ, struct.pack("HHHH", rows, cols, 0, 0))

    def send(self, text):
        os.write(self.fd, text.encode())

    def read(self, timeout=0.05):
        """What comes soon; False at the end."""
        if not select.select([self.fd], [], [], timeout)[0]:
            return True
        try:
            data = os.read(self.fd, 65536)
        except OSError:
            return False
        self.seen += data.decode("utf-8", "replace")
        return bool(data)

    def expect(self, text, timeout=60):
        """Waits until text comes behind what was expected before."""
        deadline = time.monotonic() + timeout
        while text not in self.seen[self.mark:]:
            if not self.read(0.2) or time.monotonic() > deadline:
                raise AssertionError("waited in vain for %r after %r" % (text, self.seen[-500:]))
        self.mark += self.seen[self.mark:].index(text) + len(text)

    def modes(self):
        return termios.tcgetattr(self.fd)

    def finish(self, status, timeout=60):
        """Reads to the end; the exit status must be this one. Returns all that was seen."""
        deadline = time.monotonic() + timeout
        while time.monotonic() < deadline:
            more = self.read()
            if self.status is None:
                pid, st = os.waitpid(self.pid, os.WNOHANG)
                if pid:
                    self.status = os.waitstatus_to_exitcode(st)
            elif not more or not select.select([self.fd], [], [], 0)[0]:
                break
        expect(self.status == status,
               "status %s, not %s, after %r" % (self.status, status, self.seen[-500:]))
        os.close(self.fd)
        return self.seen

    def close(self):
        if self.status is None:
            try:
                os.kill(self.pid, signal.SIGKILL)
            except OSError:
                pass
            os.waitpid(self.pid, 0)
            self.status = -9
        os.close(self.fd)
