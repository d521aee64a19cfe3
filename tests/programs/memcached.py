#!/usr/bin/env python3
# needs: python3 memcached
"""memcached with threads: clients that set, read back, count and compare-and-swap through the
checkpoints. Every item is there afterwards and every count is right."""

import hashlib
import os
import random
import socket
import subprocess
import sys
import threading
import time

CLIENTS, ROUNDS = 6, 400
port = random.randrange(10000, 30000)


class Client:
    def __init__(self):
        self.s = socket.create_connection(("127.0.0.1", port))
        self.f = self.s.makefile("rb")

    def ask(self, line, data=None):
        self.s.sendall(line.encode() + b"\r\n" + (data + b"\r\n" if data is not None else b""))
        return self.f.readline().decode().strip()

    def get(self, keys, verb="get"):
        """{key: (data, unique)}"""
        found = {}
        line = self.ask("%s %s" % (verb, " ".join(keys)))
        while line != "END":
            _, key, _, size, *unique = line.split()
            found[key] = self.f.read(int(size) + 2)[:-2], unique
            line = self.f.readline().decode().strip()
        return found


def value(key):
    return hashlib.sha256(key.encode()).hexdigest().encode() * (1 + hash_of(key) % 40)


def hash_of(key):
    return int.from_bytes(hashlib.md5(key.encode()).digest()[:4], "little")


wrong, done = [], [0] * CLIENTS


def work(n):
    try:
        c = Client()
        for i in range(ROUNDS):
            key = "key:%d:%d" % (n, i)
            if c.ask("set %s 0 0 %d" % (key, len(value(key))), value(key)) != "STORED":
                wrong.append("set " + key)
            back = "key:%d:%d" % (n, i // 2)
            if c.get([back])[back][0] != value(back):
                wrong.append("get " + back)
            c.ask("incr counter 1")
            while True:
                data, unique = c.get(["shared"], "gets")["shared"]
                new = b"%d" % (int(data) + n)
                if c.ask("cas shared 0 0 %d %s" % (len(new), unique[0]), new) == "STORED":
                    break
            done[n] = i + 1
    except Exception as e:
        wrong.append("client %d, round %d: %r" % (n, done[n], e))


user = ["-u", "nobody"] if os.geteuid() == 0 else []
server = subprocess.Popen(["memcached", "-l", "127.0.0.1", "-p", str(port), "-U", "0", "-t", "4",
                           "-m", "64"] + user)
try:
    for _ in range(600):
        try:
            first = Client()
            break
        except OSError:
            time.sleep(0.05)
    print(first.ask("set counter 0 0 1", b"0"), first.ask("set shared 0 0 1", b"0"))
    threads = [threading.Thread(target=work, args=(n,)) for n in range(CLIENTS)]
    for t in threads:
        t.start()
    for part in 1, 2, 3:
        while sum(done) < CLIENTS * ROUNDS * part // 4 and any(t.is_alive() for t in threads):
            time.sleep(0.01)
        print("@save@", flush=True)
    for t in threads:
        t.join()
    print("wrong:", wrong)
    last = Client()
    keys = ["key:%d:%d" % (n, i) for n in range(CLIENTS) for i in range(ROUNDS)]
    found = {}
    for i in range(0, len(keys), 100):
        found.update(last.get(keys[i:i + 100]))
    print("items", len(found), all(found[k][0] == value(k) for k in found))
    counts = last.get(["counter", "shared"])
    print("counter", counts["counter"][0], "shared", counts["shared"][0])
    print("the first connection still answers:", first.ask("get nothing"))
finally:
    server.terminate()
    print("memcached:", server.wait())
