#!/usr/bin/env python3
"""What quickstart freezes: four worker processes, two threads, pipes, a database and open files.

The workers hash every header below /usr/include; a thread takes what they send through pipes into
an SQLite database in memory, another watches. The result depends on every file, in order, exactly
once: a lost or repeated step shows in the last line.
"""

import hashlib
import os
import sqlite3
import sys
import threading
import time

WORKERS = 4
LIMIT = 2400  # files
BALLAST = 8 << 20


def headers():
    found = []
    for where, dirs, files in os.walk("/usr/include"):
        dirs.sort()
        found += [os.path.join(where, f) for f in sorted(files)]
    return found[:LIMIT]


def work(number, files, out):
    """A worker process: a chain of digests, one line per file."""
    chain = b""
    ballast = bytearray(hashlib.sha256(b"%d" % number).digest() * (BALLAST // 32))
    for i, path in enumerate(files[number::WORKERS]):
        with open(path, "rb") as f:
            for _ in range(6):
                f.seek(0)
                chain = hashlib.sha256(chain + f.read()).digest()
        at = (i * 7919 * 4096) % BALLAST
        ballast[at] ^= chain[0]
        out.write("%d %d %s\n" % (number, i, chain.hex()))
        out.flush()
    out.write("%d end %s\n" % (number, hashlib.sha256(ballast).hexdigest()))
    out.flush()


def collect(pipes, db, lock):
    for pipe in pipes:
        for line in pipe:
            number, step, digest = line.split()
            with lock:
                db.execute("insert into done values (?, ?, ?)", (number, step, digest))


def main():
    started = time.monotonic()
    files = headers()
    pipes, pids = [], []
    for number in range(WORKERS):
        r, w = os.pipe()
        pid = os.fork()
        if pid == 0:
            os.close(r)
            work(number, files, os.fdopen(w, "w"))
            os._exit(number)
        os.close(w)
        pids.append(pid)
        pipes.append(os.fdopen(r))
    db = sqlite3.connect(":memory:", check_same_thread=False)
    db.execute("create table done (worker text, step text, digest text)")
    lock = threading.Lock()
    threads = [threading.Thread(target=collect, args=(pipes[i::2], db, lock)) for i in range(2)]
    for t in threads:
        t.start()
    shown = 0
    while any(t.is_alive() for t in threads):
        time.sleep(0.02)
        with lock:
            n = db.execute("select count(*) from done").fetchone()[0]
        while shown < 10 and n * 10 >= (shown + 1) * len(files):
            shown += 1
            print("%3d%% of %d files" % (shown * 10, len(files)), flush=True)
    for t in threads:
        t.join()
    codes = [os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) for pid in pids]
    rows = db.execute("select worker, step, digest from done order by worker, step").fetchall()
    total = hashlib.sha256(repr(rows).encode()).hexdigest()
    print("workers ended with %s; %d results; digest of all: %s" % (codes, len(rows), total))
    print("took %.1f s" % (time.monotonic() - started), file=sys.stderr)


main()
