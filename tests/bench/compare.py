"""What micro.py and apps.py share: the same work native, in stasis and in runsc, in turns, and one
table of the medians."""
import os
import shutil
import statistics
import subprocess
import sys


def run(cmd, cwd, timeout=120):
    r = subprocess.run(cmd, cwd=cwd, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                       stderr=subprocess.PIPE, text=True, timeout=timeout)
    if r.returncode != 0:
        raise RuntimeError(f"{' '.join(cmd)[:200]}: {r.returncode}: {r.stderr.strip()[-200:]}")
    return r.stdout


def runsc_prefix(cwd):
    """How runsc runs a program here, None where it is not installed or does not."""
    runsc = shutil.which("runsc")
    if not runsc:
        return None
    for flags in ([], ["--rootless"]):
        cmd = [runsc, *flags, "--network=none", "do"]
        try:
            run([*cmd, "/bin/true"], cwd)
            return cmd
        except (RuntimeError, subprocess.TimeoutExpired) as e:
            print(f"  {e}", file=sys.stderr)
    return None


class Comparison:
    """rows are (name, unit, {where: median}); names says what the names mean; units in rates are
    better when higher."""

    def __init__(self, build, cwd, names, rates):
        self.where = {"native": [], "stasis": [os.path.join(build, "stasis"), "do", "--"]}
        runsc = runsc_prefix(cwd)
        if runsc:
            self.where["runsc"] = runsc
        self.cwd = cwd
        self.names = names
        self.rates = rates
        self.rows = []

    def add(self, name, unit, got):
        """got: {where: list of values or None}."""
        v = {k: statistics.median(x) for k, x in got.items() if x}
        self.rows.append((name, unit, v))
        print(f"  {name}: " + ", ".join(f"{k} {x:.1f}" for k, x in v.items()) + f" {unit}",
              file=sys.stderr)

    def ratio(self, unit, v, over, under):
        """How many times dearer `over` is than `under`, None where one is missing."""
        if over not in v or under not in v:
            return None
        return v[under] / v[over] if unit in self.rates else v[over] / v[under]

    def table(self):
        def order(row):
            r = self.ratio(row[1], row[2], "runsc", "stasis")
            if r is not None:
                return (1, r)
            # Without runsc the worst is what is furthest from native; a failure leads them all.
            r = self.ratio(row[1], row[2], "stasis", "native")
            return (0, 0) if r is None else (1, 1 / r)

        def cell(x, form):
            return "-" if x is None else format(x, form)

        print("| what | unit | native | stasis | runsc | stasis/native | runsc/stasis |")
        print("|---|---|---|---|---|---|---|")
        for name, unit, v in sorted(self.rows, key=order):
            values = " | ".join(cell(v.get(k), ".0f" if v.get(k, 0) >= 10 else ".2f")
                                for k in ("native", "stasis", "runsc"))
            print(f"| {self.names.get(name, name)} | {unit} | {values} | "
                  f"{cell(self.ratio(unit, v, 'stasis', 'native'), '.2f')} | "
                  f"{cell(self.ratio(unit, v, 'runsc', 'stasis'), '.2f')} |")
