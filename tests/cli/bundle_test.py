#!/usr/bin/env python3
"""OCI bundles: what config.json says is what the program gets; what is wrong in it is one line."""

import copy
import json
import os
import signal
import subprocess
import sys

from harness import expect, main, wait_for

SPEC = {
    "ociVersion": "1.0.2",
    "process": {
        "terminal": False,
        "user": {"uid": 0, "gid": 0},
        "args": ["sh", "-c", "echo hello"],
        "env": ["PATH=/usr/sbin:/usr/bin:/sbin:/bin", "A=b"],
        "cwd": "/",
        "capabilities": {k: ["CAP_KILL", "CAP_NET_BIND_SERVICE"] for k in
                         ("bounding", "effective", "permitted")},
        "rlimits": [{"type": "RLIMIT_NOFILE", "soft": 777, "hard": 1024}],
        "noNewPrivileges": True,
    },
    "root": {"path": "/", "readonly": False},
    "hostname": "box",
    "mounts": [
        {"destination": "/proc", "type": "proc", "source": "proc"},
        {"destination": "/dev", "type": "tmpfs", "source": "tmpfs",
         "options": ["nosuid", "strictatime", "mode=755", "size=65536k"]},
        {"destination": "/dev/pts", "type": "devpts", "source": "devpts",
         "options": ["nosuid", "noexec", "newinstance", "ptmxmode=0666", "mode=0620"]},
        {"destination": "/dev/shm", "type": "tmpfs", "source": "shm",
         "options": ["nosuid", "noexec", "nodev", "mode=1777", "size=65536k"]},
        {"destination": "/dev/mqueue", "type": "mqueue", "source": "mqueue"},
        {"destination": "/sys", "type": "sysfs", "source": "sysfs", "options": ["nosuid", "ro"]},
        {"destination": "/sys/fs/cgroup", "type": "cgroup", "source": "cgroup",
         "options": ["ro"]},
    ],
    "annotations": {"org.example": "yes"},
    "linux": {"namespaces": [{"type": "pid"}, {"type": "mount"}],
              "maskedPaths": ["/proc/kcore"], "resources": {"devices": [{"allow": False}]}},
}


def bundle(s, change=None, name="bundle"):
    spec = copy.deepcopy(SPEC)
    if change:
        change(spec)
    path = s.path(name)
    os.makedirs(path, exist_ok=True)
    with open(os.path.join(path, "config.json"), "w") as f:
        json.dump(spec, f)
    return path


def script(text):
    def change(spec):
        spec["process"]["args"] = ["sh", "-c", text]
    return change


def start_detached(s, ident, text):
    """Through no pipe: a detached container keeps the caller's."""
    b = bundle(s, script(text))
    p = subprocess.run(s.argv(["run", "--bundle", b, "--detach", ident]),
                       stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                       stderr=subprocess.DEVNULL, timeout=60)
    expect(p.returncode == 0, "start")
    return b


def plain(s):
    r = s.ok("run", "--bundle", bundle(s), "plain")
    expect(r.out == "hello\n", repr(r))
    s.gone("plain")


def current_directory_is_the_default(s):
    r = s.ok("run", "here", cwd=bundle(s))
    expect(r.out == "hello\n", repr(r))


def exit_status(s):
    r = s.run("run", "--bundle", bundle(s, script("exit 9")), "nine")
    expect(r.status == 9, repr(r))


def process_settings(s):
    def change(spec):
        script("pwd; echo $A; id -u; id -g; ulimit -n; ulimit -Hn; hostname; "
               "grep -e NoNewPrivs /proc/self/status")(spec)
        spec["process"]["user"] = {"uid": 1234, "gid": 555, "additionalGids": [77]}
        spec["process"]["cwd"] = "/usr"
    r = s.ok("run", "--bundle", bundle(s, change), "settings")
    lines = r.out.split("\n")
    expect(lines[:7] == ["/usr", "b", "1234", "555", "777", "1024", "box"], repr(r))
    expect("NoNewPrivs:\t1" in r.out, repr(r))


def capabilities(s):
    r = s.ok("run", "--bundle", bundle(s, script("grep -e CapEff -e CapBnd /proc/self/status")),
             "caps")
    expect(r.out.split() == ["CapEff:", "0000000000000420", "CapBnd:", "0000000000000420"],
           repr(r))


def mounts(s):
    os.makedirs(s.path("ro"))
    os.makedirs(s.path("rw"))
    for d in ("ro/f", "rw/f", "single"):
        with open(s.path(d), "w") as f:
            f.write(d + "\n")

    def change(spec):
        spec["mounts"] += [
            {"destination": "/mnt", "type": "tmpfs", "source": "tmpfs", "options": ["size=1m"]},
            {"destination": "/mnt/ro", "type": "bind", "source": s.path("ro"),
             "options": ["rbind", "ro"]},
            {"destination": "/mnt/rw", "source": s.path("rw"), "options": ["bind"]},
            {"destination": "/mnt/one", "type": "bind", "source": s.path("single"),
             "options": ["bind", "ro"]},
        ]
        script("cat /mnt/ro/f /mnt/rw/f /mnt/one; echo x 2>/dev/null >/mnt/ro/g && echo written; "
               "echo y >/mnt/rw/g; echo z >/mnt/h && cat /mnt/h; test -d /proc/self && "
               "test -c /dev/null && test -d /dev/pts && test -d /dev/shm && echo all")(spec)
    r = s.run("run", "--bundle", bundle(s, change), "mounts")
    expect(r.out == "ro/f\nrw/f\nsingle\nz\nall\n", repr(r))
    expect(not os.path.exists(s.path("ro/g")) and open(s.path("rw/g")).read() == "y\n", "host")


def readonly_root(s):
    def change(spec):
        spec["root"]["readonly"] = True
        # Its place is made before the root is what it is asked to be.
        spec["mounts"].append({"destination": "/stasis-place/of/it", "type": "tmpfs"})
        script("(echo x >/stasis-test) 2>/dev/null && echo written; "
               "echo x >/stasis-place/of/it/f || echo lost; echo end")(spec)
    r = s.ok("run", "--bundle", bundle(s, change), "readonly")
    expect(r.out == "end\n", repr(r))


def detached(s):
    b = start_detached(s, "det", "while [ ! -e /tmp/go ]; do sleep 0.05; done; exit 4")
    state = s.state("det")
    expect(state["status"] == "running" and state["bundle"] == b and
           state["annotations"] == {"org.example": "yes"}, repr(state))
    s.ok("exec", "det", "touch", "/tmp/go")
    expect(json.loads(s.ok("wait", "det").out) == {"id": "det", "exitStatus": 4}, "wait")
    wait_for(lambda: s.state("det")["status"] == "stopped", "stopped")
    expect(json.loads(s.ok("wait", "det").out)["exitStatus"] == 4, "wait again")
    s.fails(1, "ps", "det", contains="not running")
    s.fails(1, "kill", "det", contains="not running")
    s.ok("delete", "det")
    s.gone("det")


def detached_and_killed(s):
    start_detached(s, "dk", "sleep 100")
    os.kill(s.state("dk")["pid"], signal.SIGKILL)
    wait_for(lambda: s.state("dk")["status"] == "stopped", "stopped")
    s.fails(1, "wait", "dk", contains="without an exit status")
    s.ok("delete", "dk")
    s.gone("dk")


def force_delete(s):
    start_detached(s, "fd", "sleep 100")
    s.fails(1, "delete", "fd", contains="running")
    s.ok("delete", "--force", "fd")
    s.gone("fd")


def setter(*path):
    value = path[-1]

    def change(spec):
        o = spec
        for k in path[:-2]:
            o = o[k]
        if value is None:
            del o[path[-2]]
        else:
            o[path[-2]] = value
    return change


def bad_configs(s):
    cases = [
        (setter("ociVersion", None), "ociVersion"),
        (setter("ociVersion", "2.0"), "ociVersion"),
        (setter("process", None), "process"),
        (setter("process", "args", None), "process.args"),
        (setter("process", "args", []), "process.args"),
        (setter("process", "args", "sh"), "process.args"),
        (setter("process", "args", [1]), "process.args"),
        (setter("process", "env", {}), "process.env"),
        (setter("process", "cwd", "usr"), "process.cwd"),
        (setter("process", "cwd", None), "process.cwd"),
        (setter("process", "user", "uid", "root"), "process.user.uid"),
        (setter("process", "user", "uid", -1), "process.user.uid"),
        (setter("process", "user", "uid", 1.5), "process.user.uid"),
        (setter("process", "user", "uid", 1 << 32), "process.user.uid"),
        (setter("process", "user", "additionalGids", ["x"]), "additionalGids"),
        (setter("process", "terminal", "yes"), "process.terminal"),
        (setter("process", "capabilities", []), "process.capabilities"),
        (setter("process", "rlimits", [{"type": "RLIMIT_X", "soft": 1, "hard": 1}]), "RLIMIT_X"),
        (setter("process", "rlimits", [{"type": "RLIMIT_CPU", "soft": 2, "hard": 1}]), "soft"),
        (setter("process", "rlimits", [{"type": "RLIMIT_CPU", "soft": 1, "hard": 1}] * 2), "twice"),
        (setter("root", None), "root"),
        (setter("root", "path", None), "root.path"),
        (setter("root", "path", "nowhere"), "nowhere"),
        (setter("root", "readonly", 1), "root.readonly"),
        (setter("mounts", [{"destination": "x", "type": "proc"}]), "absolute"),
        (setter("mounts", [{"destination": "/x", "type": "ext4"}]), "ext4"),
        (setter("mounts", [{"destination": "/x", "type": "bind"}]), "source"),
        (setter("mounts", [{"destination": "/x", "type": "bind", "source": "/no/such"}]),
         "/no/such"),
        (setter("mounts", [{"destination": "/x", "type": "bind", "source": "/",
                            "options": ["idmap"]}]), "idmap"),
        (setter("mounts", 3), "mounts"),
        (setter("hooks", {"prestart": [{"path": "/bin/true"}]}), "hooks"),
        (setter("linux", "uidMappings", [{"containerID": 0, "hostID": 1, "size": 1}]),
         "uidMappings"),
        (setter("linux", 7), "linux"),
        (setter("hostname", 7), "hostname"),
    ]
    for change, word in cases:
        s.fails(1, "run", "--bundle", bundle(s, change), "bad", contains=word)
        expect(not os.path.exists(os.path.join(s.root, "bad")), "left behind: " + word)
    for text in ("", "{", "[]", "{}", "\0", '{"ociVersion": "1.0", "ociVersion": "1.0"}'):
        with open(s.path("bundle/config.json"), "w") as f:
            f.write(text)
        s.fails(1, "run", "--bundle", s.path("bundle"), "bad", contains="config.json")
    os.unlink(s.path("bundle/config.json"))
    s.fails(1, "run", "--bundle", s.path("bundle"), "bad", contains="config.json")


def unlimited(s):
    def change(spec):
        script("ulimit -s")(spec)
        spec["process"]["rlimits"] = [{"type": "RLIMIT_STACK", "soft": 2 ** 64 - 1,
                                       "hard": 2 ** 64 - 1}]
    r = s.ok("run", "--bundle", bundle(s, change), "unlimited")
    expect(r.out == "unlimited\n", repr(r))


if __name__ == "__main__":
    if os.geteuid() != 0:
        print("SKIP: users of bundles need root\n0 passed, 0 failed, 1 skipped")
        sys.exit(0)
    sys.exit(main([plain, current_directory_is_the_default, exit_status, process_settings,
                   capabilities, mounts, readonly_root, detached, detached_and_killed,
                   force_delete, bad_configs, unlimited]))
