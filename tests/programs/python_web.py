#!/usr/bin/env python3
# needs: python3 openssl
"""An asyncio web server, over TCP, TLS and a Unix socket, with clients; executors, timers, children
and signals in the same loop. The load goes on until the standard input has answered each mark."""

import asyncio
import concurrent.futures
import hashlib
import os
import signal
import ssl
import subprocess
import sys
import tempfile
import threading

CLIENTS = 12


def say(*words):
    print(*words, flush=True)


async def request(reader):
    """One request or response: (first line, headers, body); None at the end."""
    line = await reader.readline()
    if not line:
        return None
    headers = {}
    while (text := (await reader.readline()).strip()):
        name, _, value = text.partition(b":")
        headers[name.lower()] = value.strip()
    return line, headers, await reader.readexactly(int(headers.get(b"content-length", 0)))


class Server:
    def __init__(self):
        self.served = 0
        self.pool = concurrent.futures.ThreadPoolExecutor(3)

    async def connection(self, reader, writer):
        loop = asyncio.get_running_loop()
        while (got := await request(reader)) is not None:
            line, _, body = got
            digest = loop.run_in_executor(self.pool, lambda: hashlib.sha256(body).hexdigest())
            size = int(line.split()[1].rpartition(b"/")[2])
            text = (await digest).encode() + b"z" * size
            writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(text) + text)
            await writer.drain()
            self.served += 1
        writer.close()


async def client(connect, number, until):
    reader, writer = await connect()
    n = 0
    while n < 5 or not until.is_set():
        body, size = bytes([n & 255]) * (n * 991 % 70000), n * 877 % 90000
        writer.write(b"POST /%d HTTP/1.1\r\nContent-Length: %d\r\n\r\n" % (size, len(body)) + body)
        await writer.drain()
        _, _, text = await request(reader)
        if text != hashlib.sha256(body).hexdigest().encode() + b"z" * size:
            raise RuntimeError("client %d, request %d: wrong answer" % (number, n))
        n += 1
    writer.close()
    await writer.wait_closed()
    return n


async def ticker(until):
    n = 0
    while not until.is_set():
        await asyncio.sleep(0.003)
        n += 1
    return n


async def children(until):
    n = 0
    while n < 2 or not until.is_set():
        p = await asyncio.create_subprocess_exec("tr", "a-z", "A-Z", stdin=subprocess.PIPE,
                                                 stdout=subprocess.PIPE)
        out, _ = await p.communicate(b"abc" * 30000)
        if p.returncode or out != b"ABC" * 30000:
            raise RuntimeError("child: wrong output")
        n += 1
    return n


async def main(folder):
    loop = asyncio.get_running_loop()
    until, signals = asyncio.Event(), asyncio.Queue()
    cert = os.path.join(folder, "cert.pem")
    path = os.path.join(folder, "socket")
    server_tls = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    server_tls.load_cert_chain(cert)
    client_tls = ssl.create_default_context(cafile=cert)
    web = Server()
    loop.add_signal_handler(signal.SIGUSR1, signals.put_nowait, "usr1")
    plain = await asyncio.start_server(web.connection, "127.0.0.1", 0)
    secure = await asyncio.start_server(web.connection, "::1", 0, ssl=server_tls)
    local = await asyncio.start_unix_server(web.connection, path)
    ports = [s.sockets[0].getsockname()[1] for s in (plain, secure)]
    connect = [lambda: asyncio.open_connection("127.0.0.1", ports[0]),
               lambda: asyncio.open_connection("::1", ports[1], ssl=client_tls,
                                               server_hostname="localhost"),
               lambda: asyncio.open_unix_connection(path)]
    tasks = [asyncio.create_task(client(connect[i % 3], i, until)) for i in range(CLIENTS)]
    others = [asyncio.create_task(ticker(until)), asyncio.create_task(children(until))]
    for _ in range(3):
        say("@save@")
        await loop.run_in_executor(None, sys.stdin.readline)
        os.kill(os.getpid(), signal.SIGUSR1)
        say("signal", await signals.get())
    until.set()
    counts = await asyncio.gather(*tasks)
    say("clients", len(counts), min(counts) >= 5, sum(counts) == web.served)
    say("others", [n > 0 for n in await asyncio.gather(*others)])
    for server in (plain, secure, local):
        server.close()
        await server.wait_closed()
    web.pool.shutdown()
    say("threads", threading.active_count() < 5)


with tempfile.TemporaryDirectory(prefix="stasis-web.", dir="/tmp") as tmp:
    pem = os.path.join(tmp, "cert.pem")
    subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt",
                    "ec_paramgen_curve:prime256v1", "-nodes", "-keyout", pem + ".key", "-out", pem,
                    "-days", "3650", "-subj", "/CN=localhost",
                    "-addext", "subjectAltName=DNS:localhost"],
                   check=True, stderr=subprocess.DEVNULL, stdin=subprocess.DEVNULL)
    with open(pem, "a") as out, open(pem + ".key") as key:
        out.write(key.read())
    asyncio.run(main(tmp))
say("done")
