#!/usr/bin/env python3
"""Checks every #include of the tracked .c, .h and .S files against the layers of the design.

Prints one line per violation and exits with 1 if there is any:
  - an include that points upwards (the tables below),
  - a quoted include that is no full path from the top of the tree, or has "../" in it,
  - a file of more than 700 lines (over 600 only warns).
"""

import os
import re
import subprocess
import sys

TOP = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
WARN_LINES, MAX_LINES = 600, 700

# What the files of a folder may include, besides their own folder: folders or single files.
MAY_INCLUDE = {
    "proto": [],
    "state": ["proto"],
    "platform": ["state/base"],
    "sentry": ["platform/platform.h", "state", "proto"],
    "gofer": ["proto", "state/base"],
    "cli": ["sentry/sentry.h", "gofer/gofer.h", "state", "platform/platform.h", "proto"],
    "tests": ["proto", "state", "platform", "sentry", "gofer", "cli"],
}

# Inside sentry/, upper folders first; a folder may include the folders of its own line and of
# those below. Files directly in sentry/ belong to the first line.
SENTRY_ORDER = [
    ["boot", "syscall"],
    ["fs"],
    ["kernel"],
    ["loader", "net", "ipc"],
    ["vfs"],
    ["mm"],
    ["ctx", "auth", "time"],
]
# The root object, which everything hangs off: each layer reaches its own part through it.
ROOT_HEADER = "sentry/kernel/kernel.h"
SENTRY_RANK = {name: i for i, row in enumerate(SENTRY_ORDER) for name in row}

INCLUDE = re.compile(r'^\s*#\s*include\s+"([^"]+)"')


def tracked():
    try:
        out = subprocess.run(["git", "-C", TOP, "ls-files", "-z", "*.c", "*.h", "*.S", "*.def"],
                             stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, check=True).stdout
        return sorted(p.decode() for p in out.split(b"\0") if p)
    except (OSError, subprocess.CalledProcessError):
        found = []
        for root, dirs, files in os.walk(TOP):
            dirs[:] = [d for d in dirs if not d.startswith((".", "build"))]
            found += [os.path.relpath(os.path.join(root, f), TOP) for f in files
                      if f.endswith((".c", ".h", ".S", ".def"))]
        return sorted(found)


def below(path, allowed):
    return any(path == a or path.startswith(a + "/") for a in allowed)


def sentry_rank(path):
    parts = path.split("/")
    if len(parts) == 2:
        return 0
    return SENTRY_RANK.get(parts[1])


def check_include(path, target):
    """Returns what is wrong with this include, or None."""
    if ".." in target.split("/"):
        return 'has "../"'
    top, target_top = path.split("/")[0], target.split("/")[0]
    if target_top not in MAY_INCLUDE or "/" not in target:
        return "is no full path from the top of the tree"
    if target_top != top:
        if not below(target, MAY_INCLUDE.get(top, [])):
            return "%s/ must not include it" % top
        return None
    if top == "sentry":
        mine, other = sentry_rank(path), sentry_rank(target)
        if mine is None or other is None:
            return "is or names a folder that the order in sentry/ does not know"
        if other < mine and target != ROOT_HEADER:
            return "points upwards inside sentry/"
    return None


def main():
    bad = 0
    for path in tracked():
        try:
            with open(os.path.join(TOP, path), encoding="utf-8", errors="replace") as f:
                lines = f.read().splitlines()
        except FileNotFoundError:
            continue
        if len(lines) > MAX_LINES:
            print("%s: %d lines, more than %d" % (path, len(lines), MAX_LINES))
            bad += 1
        elif len(lines) > WARN_LINES:
            print("%s: warning: %d lines, more than %d" % (path, len(lines), WARN_LINES))
        for number, line in enumerate(lines, 1):
            m = INCLUDE.match(line)
            why = check_include(path, m.group(1)) if m else None
            if why:
                print('%s:%d: "%s" %s' % (path, number, m.group(1), why))
                bad += 1
    print("layering: %d violations" % bad if bad else "layering: ok")
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
