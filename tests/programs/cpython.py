#!/usr/bin/env python3
# needs: python3.11 /usr/lib/python3.11/test/test_socket.py
# run: python3.11 -W ignore
"""CPython's own tests of what lies next to the kernel. A case that fails is run once more, as the
machine may be busy; what is printed is what remains, and which cases were skipped."""

import io
import os
import sys
import tempfile
import unittest

# What is run: modules, or classes of modules that take long as a whole.
WHAT = [
    ("test.test_epoll", None),
    ("test.test_fcntl", None),
    ("test.test_mmap", None),
    ("test.test_os", None),
    ("test.test_posix", None),
    ("test.test_pty", None),
    ("test.test_signal", "PosixTests WakeupSignalTests PidfdSignalTest"),
    ("test.test_socket", "BasicTCPTest BasicUDPTest NonBlockingTCPTests SendmsgTCPTest "
     "RecvmsgTCPTest RecvmsgIntoSCMRightsStreamTest SendmsgUDP6Test InheritanceTest "
     "UnbufferedFileObjectClassTestCase RecvmsgRFC3542AncillaryUDP6Test TestUnixDomain "
     "TestLinuxAbstractNamespace"),
    ("test.test_subprocess", "RunFuncTestCase ContextManagerTests"),
    ("test.test_threading", "ThreadTests"),
    ("test.test_asyncio.test_unix_events", None),
    ("test.test_asyncio.test_streams", None),
]
# dnotify is not there, as on kernels that are built without it.
WITHOUT = ("test_fcntl_64_bit",)
# Cases by their number: each is under way when the sandbox is moved.
MARKS = (200, 500, 700)


class Marks:
    """Prints a mark, and before the next one waits until the standard input has answered it."""

    def __init__(self):
        self.fd = os.dup(0)
        self.out = os.fdopen(os.dup(1), "w")
        self.cases = 0
        self.asked = False

    def say(self, *words):
        print(*words, file=self.out, flush=True)

    def settle(self):
        if self.asked:
            os.read(self.fd, 1)
        self.asked = False

    def case(self):
        self.cases += 1
        if self.cases in MARKS:
            self.settle()
            self.say("@save@")
            self.asked = True


class Result(unittest.TestResult):
    marks = Marks()

    def startTest(self, test):
        super().startTest(test)
        self.marks.case()


def each(suite):
    for t in suite:
        if isinstance(t, unittest.TestSuite):
            yield from each(t)
        else:
            yield t


def select(name, classes):
    module = __import__(name, fromlist=["x"])
    loader = unittest.TestLoader()
    if classes is None:
        return loader.loadTestsFromModule(module)
    return unittest.TestSuite(loader.loadTestsFromTestCase(getattr(module, c))
                              for c in classes.split())


def run(name, classes):
    suite = select(name, classes)
    kept = unittest.TestSuite(t for t in each(suite) if t.id().rpartition(".")[2] not in WITHOUT)
    names = [t.id() for t in kept]
    result = Result()
    kept.run(result)
    bad = sorted({getattr(t, "test_case", t).id() for t, _ in result.failures + result.errors})
    still = []
    for one in bad:
        again = unittest.TestResult()
        loaded = unittest.defaultTestLoader.loadTestsFromNames([one] if one in names else [name])
        loaded.run(again)
        if not again.wasSuccessful():
            still += [one] + [text for _, text in again.failures + again.errors]
    Result.marks.say(name, result.testsRun, "cases")
    for t in sorted({t.id() for t, _ in result.skipped}):
        Result.marks.say("  skipped", t)
    for text in still:
        Result.marks.say("  failed", text)


def main():
    os.environ["HOME"] = os.getcwd()
    null = os.open("/dev/null", os.O_RDWR)
    for fd in (0, 1, 2):
        os.dup2(null, fd)
    for name, classes in WHAT:
        run(name, classes)
    Result.marks.settle()
    Result.marks.say("done")


if __name__ == "__main__":
    with tempfile.TemporaryDirectory(prefix="stasis-cpython.", dir="/tmp") as tmp:
        os.chdir(tmp)
        main()
        os.chdir("/")
