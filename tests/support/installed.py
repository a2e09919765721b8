# SPDX-License-Identifier: Apache-2.0
"""What the tests of installs and packages share."""
import os
import re
import subprocess
import sys

import e2e

ENGINES = os.path.join(e2e.ROOT, "host", "engines")


def options(parser):
    parser.add_argument("--build", required=True, help="the build directory")
    parser.add_argument("--cmake", default="cmake", help="the program")


def version():
    """The one definition of the version."""
    with open(os.path.join(e2e.ROOT, "host", "base", "base.h"), encoding="utf-8") as file:
        return re.search(r'#define WADER_VERSION "(.*)"', file.read()).group(1)


def install(t, prefix):
    """`cmake --install` to there; ends the test where it fails."""
    done = subprocess.run([t.args.cmake, "--install", t.args.build, "--prefix", prefix],
                          capture_output=True, text=True, check=False)
    if not t.check("cmake --install", done.returncode == 0, done.stdout + done.stderr):
        t.finish()


def files(root):
    """Every file below `root`, by its path from there."""
    return {os.path.relpath(os.path.join(directory, name), root)
            for directory, _, names in os.walk(root) for name in names}


def quiet(*command, **kwargs):
    """Runs a command: whether it ended well, and what it said."""
    try:
        done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                              check=False, **kwargs)
    except OSError as error:
        return False, str(error)
    if done.returncode < 0:
        sys.stderr.write("%s: signal %d\n" % (command[0], -done.returncode))
    return done.returncode == 0, done.stdout
