# SPDX-License-Identifier: Apache-2.0
"""Python packages that a test compares with, from a virtual environment made when it is needed."""
import fcntl
import importlib
import os
import subprocess
import sys


def skip(why):
    print("SKIP: " + why)
    sys.exit(77)


def pip(venv):
    """The command that runs pip: Debian's python3 has none, a virtual environment always does."""
    for python in (sys.executable, os.path.join(venv, "bin", "python3")):
        if os.path.exists(python) and not subprocess.run(
                [python, "-m", "pip", "--version"], capture_output=True, check=False).returncode:
            return [python, "-m", "pip"]
    subprocess.run([sys.executable, "-m", "venv", venv], capture_output=True, check=False)
    return [python, "-m", "pip"]


def _make(venv, python, packages):
    """Installs them; several tests may want the same environment at the same time."""
    os.makedirs(venv, exist_ok=True)
    with open(os.path.join(venv, ".lock"), "w", encoding="utf-8") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        has = [python, "-c", "import " + ", ".join(packages)]
        if os.path.exists(python) and not subprocess.run(has, capture_output=True,
                                                         check=False).returncode:
            return
        for command in ([sys.executable, "-m", "venv", venv],
                        [python, "-m", "pip", "install", "-q", *packages]):
            done = subprocess.run(command, capture_output=True, text=True, check=False)
            if done.returncode:
                last = (done.stderr or done.stdout).strip().split("\n")[-1]
                skip("no Python package %s, and it cannot be installed: %s" %
                     (" or ".join(packages), last))


def use(package, venv, needs=(), advice="pip install it, or give --venv DIR"):
    """The imported package. Where it or one of `needs` is missing, all are installed into the
    directory `venv` and the script starts anew there; without a `venv`, or without a registry, the
    test is skipped, with `advice` in the first case."""
    try:
        for need in needs:
            importlib.import_module(need)
        return importlib.import_module(package)
    except ImportError:
        pass
    if not venv:
        skip("no Python package %s (%s)" % (" or ".join([package, *needs]), advice))
    if sys.prefix == os.path.realpath(venv):
        skip("Python package %s cannot be imported from %s" % (package, venv))
    python = os.path.join(venv, "bin", "python3")
    _make(venv, python, [package, *needs])
    os.execv(python, [python] + sys.argv)
