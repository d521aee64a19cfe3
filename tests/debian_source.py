"""The source of a Debian package, by way of the host's own apt and the archives that it is set up
for, into a directory of ours; nothing of the host's apt is changed."""

import glob
import os
import re
import shutil
import subprocess
import tempfile


class Unobtainable(Exception):
    """Why there is no source."""


def run(argv, where, timeout):
    try:
        return subprocess.run(argv, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, cwd=where,
                              stderr=subprocess.STDOUT, timeout=timeout,
                              env=dict(os.environ, LC_ALL="C")).stdout.decode("utf-8", "replace")
    except subprocess.TimeoutExpired:
        raise Unobtainable("%s: no end after %d s" % (argv[0], timeout))


def archives(parts):
    """Writes the host's archives into the directory parts, as archives of sources."""
    config = run(["apt-config", "shell", "LIST", "Dir::Etc::sourcelist/f", "PARTS",
                  "Dir::Etc::sourceparts/d"], "/", 20)
    where = dict(re.findall(r"^(\w+)='(.*)'$", config, re.M))
    names = [where.get("LIST", "")] + glob.glob(os.path.join(where.get("PARTS", ""), "*"))
    for number, name in enumerate(n for n in names if n.endswith((".list", ".sources"))):
        try:
            with open(name) as f:
                text = f.read()
        except OSError:
            continue
        text = re.sub(r"^(\s*)deb(?=\s)", r"\1deb-src", text, flags=re.M)
        text = re.sub(r"^(Types:).*", r"\1 deb-src", text, flags=re.M | re.I)
        with open(os.path.join(parts, "%d%s" % (number, os.path.splitext(name)[1])), "w") as f:
            f.write(text)


def fetch(package, cache):
    """The directory below cache with the package's source archives: those of an earlier time, or
    fetched now. Raises Unobtainable."""
    found = os.path.join(cache, package)
    if os.path.isdir(found):
        return found
    if not shutil.which("apt-get"):
        raise Unobtainable("no apt-get")
    os.makedirs(cache, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=cache) as tmp:
        for name in ("parts", "lists/partial", "cache/archives/partial", "source"):
            os.makedirs(os.path.join(tmp, name))
        archives(os.path.join(tmp, "parts"))
        apt = ["apt-get", "-q", "-o", "Dir::Etc::sourcelist=/dev/null",
               "-o", "Dir::Etc::sourceparts=" + os.path.join(tmp, "parts"),
               "-o", "Dir::State::lists=" + os.path.join(tmp, "lists"),
               "-o", "Dir::Cache=" + os.path.join(tmp, "cache"),
               "-o", "Acquire::Languages=none", "-o", "Acquire::http::Timeout=15",
               "-o", "Acquire::Retries=1", "-o", "APT::Sandbox::User="]
        # An archive without sources makes this fail, and may not matter.
        run(apt + ["update"], tmp, 90)
        said = run(apt + ["source", "--download-only", package], os.path.join(tmp, "source"), 90)
        if not glob.glob(os.path.join(tmp, "source", "*.dsc")):
            raise Unobtainable(said.strip().split("\n")[-1])
        os.chmod(os.path.join(tmp, "source"), 0o755)
        os.rename(os.path.join(tmp, "source"), found)
    return found
