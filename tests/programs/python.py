#!/usr/bin/env python3
# needs: python3 cat sh
"""Threads, subprocesses, asyncio, json, sqlite3, mmap, multiprocessing-like pipes."""

import asyncio
import collections
import hashlib
import json
import mmap
import os
import queue
import random
import re
import signal
import sqlite3
import struct
import subprocess
import sys
import tempfile
import threading
import zlib


def say(*words):
    print(*words, flush=True)


def threads():
    jobs, results = queue.Queue(), {}
    lock = threading.Lock()

    def worker():
        while True:
            n = jobs.get()
            if n is None:
                return
            d = hashlib.sha256(str(n).encode() * 2000).hexdigest()
            with lock:
                results[n] = d

    pool = [threading.Thread(target=worker) for _ in range(8)]
    for t in pool:
        t.start()
    for n in range(200):
        jobs.put(n)
        if n == 100:
            say("@save@")
    for _ in pool:
        jobs.put(None)
    for t in pool:
        t.join()
    text = "".join(results[n] for n in sorted(results))
    say("threads", len(results), hashlib.md5(text.encode()).hexdigest())


def processes():
    procs = [subprocess.Popen(["sh", "-c", "cat; exit %d" % i], stdin=subprocess.PIPE,
                              stdout=subprocess.PIPE) for i in range(5)]
    total = 0
    for i, p in enumerate(procs):
        out, _ = p.communicate(b"x" * (i * 40000))
        total += len(out)
    say("processes", total, [p.returncode for p in procs])
    p = subprocess.run([sys.executable, "-c", "import sys; print(sum(map(int, sys.stdin)))"],
                       input="".join("%d\n" % i for i in range(1000)), capture_output=True,
                       text=True)
    say("child python", p.stdout.strip(), p.returncode)
    try:
        subprocess.run(["sleep", "100"], timeout=0.05)
    except subprocess.TimeoutExpired:
        say("timeout")


async def ticker(name, n, out):
    for i in range(n):
        await asyncio.sleep(0.002)
        out.append((name, i))


async def asynchronous():
    out = []
    await asyncio.gather(*(ticker(name, 10, out) for name in "abcde"))
    say("ticks", sorted(collections.Counter(name for name, _ in out).items()))
    p = await asyncio.create_subprocess_exec("cat", stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    say("@save@")
    got, _ = await p.communicate(b"through asyncio\n" * 1000)
    say("async child", len(got), p.returncode)
    q = asyncio.Queue(3)

    async def producer():
        for i in range(50):
            await q.put(i)
        await q.put(None)

    async def consumer():
        total = 0
        while (item := await q.get()) is not None:
            total += item
        return total

    _, total = await asyncio.gather(producer(), consumer())
    say("queue", total)
    loop = asyncio.get_running_loop()
    blocking = [loop.run_in_executor(None, zlib.crc32, bytes([i]) * 100000) for i in range(6)]
    say("executor", sum(await asyncio.gather(*blocking)))


def documents():
    rnd = random.Random(4)
    doc = {"list": [rnd.randrange(1 << 40) for _ in range(2000)], "text": "\u00e4\u20ac" * 100,
           "nested": {str(i): {"i": i, "half": i / 2} for i in range(300)}}
    text = json.dumps(doc, sort_keys=True)
    assert json.loads(text) == doc
    say("json", len(text), hashlib.md5(text.encode()).hexdigest())
    say("regex", len(re.findall(r"\b(\d)(\d+)\1\b", text)))


def database(folder):
    path = os.path.join(folder, "db.sqlite")
    db = sqlite3.connect(path)
    db.execute("create table word (id integer primary key, name text unique, n integer)")
    rnd = random.Random(9)
    with db:
        for i in range(3000):
            db.execute("insert into word (name, n) values (?, ?)", ("w%d" % i, rnd.randrange(100)))
            if i == 1500:
                say("@save@")
    try:
        with db:
            db.execute("update word set n = n + 1000")
            db.execute("insert into word (name, n) values ('w5', 0)")
    except sqlite3.IntegrityError:
        say("rolled back")
    say("sql", db.execute("select count(*), sum(n), max(n) from word").fetchone())
    other = sqlite3.connect(path, timeout=0.05)
    db.execute("begin exclusive")
    try:
        other.execute("select 1 from word").fetchone()
    except sqlite3.OperationalError as e:
        say("locked", e)
    db.rollback()
    say("join", db.execute("select count(*) from word a join word b on a.n = b.n "
                           "where a.id < 200 and b.id < 200").fetchone())
    db.close()
    other.close()


def forks(folder):
    shared = mmap.mmap(-1, 4096)
    pids = []
    for i in range(6):
        pid = os.fork()
        if pid == 0:
            shared[i * 8:i * 8 + 8] = struct.pack("q", i ** 9)
            os._exit(i)
        pids.append(pid)
    codes = [os.waitstatus_to_exitcode(os.waitpid(p, 0)[1]) for p in pids]
    say("forks", codes, struct.unpack_from("6q", shared))
    with open(os.path.join(folder, "f"), "wb+") as f:
        f.truncate(100000)
        with mmap.mmap(f.fileno(), 0) as m:
            m[5000:5005] = b"hello"
        f.seek(5000)
        say("file", f.read(5))


def signals():
    got = []
    signal.signal(signal.SIGALRM, lambda *_: got.append(1))
    signal.setitimer(signal.ITIMER_REAL, 0.002, 0.002)
    x = 0
    while len(got) < 5:
        x = (x * 5 + 1) % 1000003
    signal.setitimer(signal.ITIMER_REAL, 0)
    say("signals", len(got) >= 5)


with tempfile.TemporaryDirectory(dir="/tmp") as tmp:
    threads()
    processes()
    asyncio.run(asynchronous())
    documents()
    database(tmp)
    forks(tmp)
    signals()
say("done")
