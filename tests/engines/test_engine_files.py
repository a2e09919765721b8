#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The files in host/engines: scripts are clean to shellcheck and sh, what they refuse they refuse
before anything happens, the Slurm script asks for what it needs, the container has what is
built."""
import os
import re
import shutil
import subprocess
import sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from catalogs import ENGINES, e2e  # noqa: E402

SCRIPTS = ("nightly", "parallel/label", "slurm/backfill", "slurm/label.sbatch",
           "slurm/merge.sbatch")


def run(command, env=None):
    done = subprocess.run(command, capture_output=True, check=False, timeout=60, env=env)
    return e2e.Result(done.returncode, done.stdout, done.stderr, 0)


def test_scripts(t):
    for name in SCRIPTS:
        path = os.path.join(ENGINES, name)
        t.check("%s can be run" % name, os.access(path, os.X_OK))
        t.exits("%s is POSIX shell" % name, run(["sh", "-n", path]), e2e.OK)
        if shutil.which("shellcheck"):
            result = run(["shellcheck", "-s", "sh", path])
            t.check("%s: shellcheck" % name, result.code == 0, result.out.decode())
    if not shutil.which("shellcheck"):
        print("      no shellcheck (apt-get install shellcheck)")
    source = e2e.read(os.path.join(ENGINES, "spark", "label.py")).decode()
    compile(source, "label.py", "exec")
    here = run([t.wader, "help", "label"]).out.decode()
    used = set(re.findall(r" (--[a-z-]+)", "".join(
        e2e.read(os.path.join(ENGINES, "kubernetes", n)).decode() for n in ("label.yaml",
                                                                            "merge.yaml"))))
    used |= set(re.findall(r'"(--[a-z-]+)", "?', source)) & set(re.findall(r"--[a-z-]+", here))
    t.equal("options that scripts use are wader's", sorted(u for u in used if u not in here), [])


def test_refusals(t):
    """Before anything is submitted: sbatch and parallel must not even be looked for."""
    tools = t.directory()
    for name in ("sbatch", "parallel", "flock"):
        path = e2e.write(tools, name, "#!/bin/sh\necho ran >>%s/ran\n" % tools)
        os.chmod(path, 0o755)
    env = t.environment({"PATH": tools + ":/usr/bin:/bin", "WADER": t.wader})
    backfill, label = (os.path.join(ENGINES, n) for n in ("slurm/backfill", "parallel/label"))
    nightly = os.path.join(ENGINES, "nightly")
    words = ["--model", e2e.MODEL, "-o", t.directory(), "/no/such/input"]
    for what, command, code, word in (
            ("no arguments", [backfill], e2e.USAGE, "usage"),
            ("no number of shares", [backfill, "--shards", "0", *words], e2e.USAGE, "usage"),
            ("shares that are no number", [backfill, "--shards", "8x", *words], e2e.USAGE,
             "usage"),
            ("an input that is not there: the plan", [backfill, *words], e2e.INPUT, "/no/such"),
            ("no arguments", [label], e2e.USAGE, "usage"),
            ("no log", [label, "-n", "4", *words], e2e.USAGE, "usage"),
            ("GPUs that are no number", [label, "-g", "x", "-l", "a", *words], e2e.USAGE, "usage"),
            ("no inputs", [nightly, e2e.MODEL, tools], e2e.USAGE, "usage"),
            ("an option that is none", [nightly, "-x", e2e.MODEL, tools, "a"], e2e.USAGE, "usage"),
            ("no directory", [nightly, e2e.MODEL, "/no/such", "a"], e2e.USAGE, "/no/such")):
        t.exits("%s: %s" % (os.path.basename(command[0]), what), run(command, env), code, word)
    t.equal("nothing was started", e2e.listing(tools), ["flock", "parallel", "sbatch"])
    env["WADER"] = "/no/wader"
    t.exits("backfill: no wader", run([backfill, *words], env), e2e.USAGE, "/no/wader")


def test_submitted(t):
    """What backfill hands to sbatch."""
    tools = t.directory()
    sbatch = e2e.write(tools, "sbatch", "#!/bin/sh\nfor a; do echo \"$a\"; done >%s/$$\n"
                       "echo \"WADER_SHARDS=$WADER_SHARDS\" >>%s/$$\necho '17;cluster'\n" %
                       (tools, tools))
    os.chmod(sbatch, 0o755)
    env = t.environment({"PATH": tools + ":/usr/bin:/bin", "WADER": t.wader})
    words = ["--model", e2e.MODEL, "-o", "a directory", "in put", "it's"]
    result = run([os.path.join(ENGINES, "slurm", "backfill"), "--no-plan", "--shards", "3",
                  "--sbatch", "--gres=gpu:1 --time=60", *words], env)
    t.exits("backfill", result, e2e.OK, "job 17")
    got = sorted(e2e.read(os.path.join(tools, n)).decode().splitlines()
                 for n in e2e.listing(tools) if n.isdigit())
    here = os.path.join(ENGINES, "slurm")
    t.equal("the array, and the merge behind it", got, [
        ["--parsable", "--array=0-2", "--gres=gpu:1", "--time=60", here + "/label.sbatch", *words,
         "WADER_SHARDS=3"],
        ["--parsable", "--dependency=afterok:17", "--kill-on-invalid-dep=yes",
         here + "/merge.sbatch", *words, "WADER_SHARDS=3"]])
    asked = re.findall(r"^#SBATCH (\S+)", e2e.read(here + "/label.sbatch").decode(), re.M)
    t.check("a task asks to be requeued and told in time",
            {"--requeue", "--open-mode=append", "--signal=B:TERM@120"} <= set(asked), asked)


def test_container(t):
    """Each room that is copied is there, and all that the program's sources lie in are copied."""
    text = e2e.read(os.path.join(ENGINES, "Containerfile")).decode()
    copied = re.findall(r"^COPY (\w\S*) ", text, re.M)
    t.equal("what is copied is there", [c for c in copied if not os.path.exists(
        os.path.join(e2e.ROOT, c))], [])
    cmake = e2e.read(os.path.join(e2e.ROOT, "CMakeLists.txt")).decode()
    rooms = {path.split("/")[0] for path in re.findall(r"\b([a-z]+/[\w/]+\.c)\b", cmake)}
    t.equal("rooms of sources are copied", sorted(rooms - {"tests"} - set(copied)), [])
    t.check("not as root", re.search(r"^USER [1-9]\d*:[1-9]\d*$", text, re.M))
    t.check("the program is process 1, which signals reach", 'ENTRYPOINT ["wader"]' in text)


def main():
    t = e2e.Suite(__doc__)
    test_scripts(t)
    test_refusals(t)
    test_submitted(t)
    test_container(t)
    t.finish()


main()
