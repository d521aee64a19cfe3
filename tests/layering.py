#!/usr/bin/env python3
"""Checks what the compiler can't: which folder includes which, and the shape of the tree.

Each source file is one test. The last line is `N passed, N failed, N skipped`.
"""

import os
import re
import sys

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
LIMIT = 600  # lines per file

# What a folder may include from the others. A name that ends in .h is that header alone.
FOLDERS = {
    "proto": [],
    "state/base": [],
    "state": ["proto", "state/base"],
    "platform": ["state/base"],
    "sentry": ["platform/platform.h", "state", "state/base", "proto"],
    "gofer": ["proto", "state/base"],
    "cli": ["sentry/sentry.h", "gofer/gofer.h", "state", "state/base", "platform/platform.h",
            "proto"],
    "tests": None,  # anything
}

# Inside sentry, lowest first: a folder may include those of lower rows, and itself. What stands in
# one row does not know of its neighbours, except where ALSO says so.
SENTRY = [
    ["ctx", "auth", "time"],
    ["mm"],
    ["vfs"],
    ["loader", "net", "ipc"],
    ["kernel"],
    ["fs"],
    ["syscall"],
    ["boot"],
]
ALSO = {"ctx": ["auth", "time"]}

INCLUDE = re.compile(r'^\s*#\s*include\s*"([^"]+)"')
UNFINISHED = re.compile(r"\b(TODO|FIXME|XXX|HACK)\b")


def folder_of(path):
    parts = path.split("/")
    if parts[:2] == ["state", "base"]:
        return "state/base"
    return parts[0]


def sentry_row(path):
    part = path.split("/")[1]
    for i, row in enumerate(SENTRY):
        if part in row:
            return i, part
    return None, part


def wrong_include(path, included):
    """Why path may not include it, or None."""
    if ".." in included.split("/"):
        return "has .. in it"
    if "/" not in included:
        return "is not a full path"
    src, dst = folder_of(path), folder_of(included)
    if dst not in FOLDERS:
        return "is in no folder of the design"
    allowed = FOLDERS[src]
    if src != dst and allowed is not None and dst not in allowed and included not in allowed:
        return "%s may not include %s" % (src, dst)
    if src == dst == "sentry":
        if included == "sentry/sentry.h":
            return None if path.startswith("sentry/boot/") else "is for boot alone"
        (a, from_), (b, to) = sentry_row(path), sentry_row(included)
        if a is None or b is None:
            return "is in no folder of the design"
        if from_ != to and b >= a and to not in ALSO.get(from_, []):
            return "sentry/%s may not include sentry/%s" % (from_, to)
    return None


def check(path):
    problems = []
    with open(os.path.join(ROOT, path), encoding="utf-8") as f:
        lines = f.read().split("\n")
    if len(lines) - 1 > LIMIT:
        problems.append("%d lines; at most %d" % (len(lines) - 1, LIMIT))
    for n, line in enumerate(lines, 1):
        m = INCLUDE.match(line)
        if m and folder_of(path) != "tests":
            why = wrong_include(path, m.group(1))
            if why:
                problems.append("line %d: %s: %s" % (n, m.group(1), why))
        if UNFINISHED.search(line):
            problems.append("line %d: unfinished: %s" % (n, line.strip()))
    if path.endswith(".h") and not any(line == "#pragma once" for line in lines[:3]):
        problems.append("no #pragma once at the top")
    return problems


def main():
    passed = failed = 0
    for top in sorted({f.split("/")[0] for f in FOLDERS}):
        for where, dirs, files in os.walk(os.path.join(ROOT, top)):
            dirs.sort()
            for name in sorted(files):
                if not name.endswith((".c", ".h", ".S")):
                    continue
                path = os.path.relpath(os.path.join(where, name), ROOT)
                problems = check(path)
                for p in problems:
                    print("%s: %s" % (path, p))
                passed += not problems
                failed += bool(problems)
    print("%d passed, %d failed, 0 skipped" % (passed, failed))
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
