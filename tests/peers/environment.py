# SPDX-License-Identifier: Apache-2.0
"""What the races of tests/peers share: the environment that peers are installed into, processes of
their own for what is measured, and what to say of the machine and of this commit.

A process gets a JSON file that tells what to do, and leaves its answer in a JSON file.
"""
import datetime
import json
import os
import pathlib
import subprocess
import sys

HERE = pathlib.Path(__file__).resolve().parent
ROOT = HERE.parents[1]
SHARED = pathlib.Path(os.environ.get("WADER_SHARED", ROOT.parent / "shared"))
HOURS = 3600


class Cannot(Exception):
    """Why an engine cannot take part."""


def say(line):
    print(line, file=sys.stderr, flush=True)


def enter(venv):
    """Goes on in the virtual environment, which is made where there is none."""
    if os.path.realpath(sys.prefix) == os.path.realpath(venv):
        return
    python = os.path.join(venv, "bin", "python3")
    if not os.path.exists(python):
        subprocess.run([sys.executable, "-m", "venv", venv], check=True)
    os.execv(python, [python] + sys.argv)


def versions(names):
    """What is installed of these packages, by name."""
    from importlib import metadata
    found = {}
    for name in names:
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            pass
    return found


def install(wanted):
    """Installs what is missing of these pairs of package and version, one after the other. Returns
    the reason for each package that cannot be. A version of a package may carry a local label
    (2.0+cpu): pip takes it where its settings name a registry that has one."""
    wanted = dict(wanted)
    there, why = versions(wanted), {}
    for package, version in wanted.items():
        if there.get(package, "").split("+")[0] == version:
            continue
        say(f"installing {package} {version}")
        done = subprocess.run([sys.executable, "-m", "pip", "install", "-q", "--only-binary",
                               ":all:", f"{package}=={version}"], capture_output=True, text=True,
                              check=False)
        if done.returncode:
            lines = (done.stderr or done.stdout).strip().split("\n")
            why[package] = next((line for line in lines if line.startswith("ERROR")), lines[-1])
    return why


def run_job(script, job, work, variables, timeout=HOURS):
    """What `script` answers to the job, and None; or None, and why there is no answer."""
    answer = pathlib.Path(work) / f"answer_{os.getpid()}.json"
    answer.unlink(missing_ok=True)
    file = pathlib.Path(work) / f"job_{os.getpid()}.json"
    file.write_text(json.dumps(dict(job, answer=str(answer))), "utf-8")
    result = why = None
    try:
        done = subprocess.run([sys.executable, str(HERE / script), str(file)], check=False,
                              env=dict(os.environ, **variables), stdin=subprocess.DEVNULL,
                              capture_output=True, timeout=timeout)
        result = json.loads(answer.read_text("utf-8")) if answer.exists() else None
        if result is None:
            lines = done.stderr.decode(errors="replace").strip().split("\n")
            why = f"its process ended with {done.returncode}: {lines[-1]}"
        elif isinstance(result, dict) and "cannot" in result:
            result, why = None, result["cannot"]
    except subprocess.TimeoutExpired:
        why = "it took too long"
    for path in (answer, file):
        path.unlink(missing_ok=True)
    return result, why


def do_job(work):
    """In that process: pinned to the job's cores, answers with what work(job) returns."""
    with open(sys.argv[1], encoding="utf-8") as stream:
        job = json.load(stream)
    os.sched_setaffinity(0, job["cores"])
    try:
        answer = work(job)
    except Exception as error:  # whatever a peer throws, the others go on
        why = str(error).strip().split("\n")[0] or type(error).__name__
        answer = {"cannot": why if isinstance(error, Cannot) else f"{type(error).__name__}: {why}"}
    with open(job["answer"], "w", encoding="utf-8") as stream:
        json.dump(answer, stream)


def output(*command):
    """What a command prints; nothing where it fails."""
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    return done.stdout.strip() if not done.returncode else ""


def git(*arguments):
    return output("git", "-C", str(ROOT), *arguments)


def processor():
    """The model, and how many cores and how much cache there is, as Linux tells it."""
    lines = pathlib.Path("/proc/cpuinfo").read_text("utf-8").splitlines()

    def fact(name):
        return next((line.split(":", 1)[1].strip() for line in lines if line.startswith(name)), "")
    caches = []
    for index in sorted(pathlib.Path("/sys/devices/system/cpu/cpu0/cache").glob("index*")):
        level, kind, size = ((index / name).read_text("ascii").strip()
                             for name in ("level", "type", "size"))
        caches.append(f"L{level}{'' if kind == 'Unified' else kind[0].lower()} {size}")
    family = fact("cpu family")
    return (f"{fact('model name') or 'unknown'}" + (f", family {family}" if family else "") +
            f", {os.cpu_count()} cores, {', '.join(caches) or 'caches unknown'}")


def header(script, repeats):
    """Where, when, of what and how."""
    # What lies under tests/peers cannot change what ours does.
    dirty = git("status", "--porcelain", "--", ".", ":!tests/peers")
    command = ["tests/peers/" + script] + [
        os.path.basename(word) if os.path.isabs(word) else word for word in sys.argv[1:]]
    return {"machine": processor(),
            "date": datetime.datetime.now(datetime.timezone.utc).strftime("%Y-%m-%d %H:%M UTC"),
            "commit": (git("rev-parse", "--short=12", "HEAD") or "unknown") +
                      (" with changes" if dirty else ""),
            "command": " ".join(command),
            "runs": f"median of {repeats}"}
