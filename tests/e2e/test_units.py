#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The systemd units of an install are what systemd takes: systemd-analyze verifies them, and finds
the faults that are put into them. What they do under a real systemd: tests/package/boot."""
import os
import re
import shutil
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "support"))
import e2e  # noqa: E402
import installed  # noqa: E402

UNITS = ["wader-nightly@news.service", "wader-nightly@news.timer"]
EXPOSURE_MAX = 2.0  # of 10, as `systemd-analyze security` counts

# What a change of the service must not get past `verify`, or past this test.
FAULTS = {"a program that is not there": ("/libexec/wader/nightly", "/libexec/wader/daily"),
          "a word that systemd does not know": ("RestartSec=", "RestartSecs="),
          "a kind that never starts again": ("Type=exec", "Type=oneshot\nRestart=always"),
          "an exit code that is none": ("SuccessExitStatus=75", "SuccessExitStatus=755")}


def verify(directory):
    """What systemd-analyze says of the units in `directory`; nothing where they are good."""
    good, text = installed.quiet("systemd-analyze", "verify", "--man=no",
                                 *(os.path.join(directory, name) for name in UNITS))
    lines = [line for line in text.splitlines() if "wader" in line]  # not of the host's own units
    return "" if good and not lines else text or "no reason given"


def main():
    t = e2e.Suite(__doc__, installed.options)
    if shutil.which("systemd-analyze") is None:
        e2e.skip("no systemd-analyze: install systemd")
    prefix = os.path.join(t.directory(), "pre fix")
    installed.install(t, prefix)
    units = os.path.join(prefix, "lib", "systemd", "system")
    nightly = os.path.join(prefix, "libexec", "wader", "nightly")
    if not os.path.exists(nightly):
        print("the build has no nightly script: a stand-in is there in its place")
        os.makedirs(os.path.dirname(nightly), exist_ok=True)
        shutil.copy("/bin/true", nightly)
    t.equal("systemd takes service and timer", verify(units), "")
    service = e2e.read(os.path.join(units, "wader-nightly@.service")).decode()
    for what, (old, new) in FAULTS.items():
        broken = os.path.join(t.directory(), "units")
        shutil.copytree(units, broken)
        e2e.write(broken, "wader-nightly@.service", service.replace(old, new))
        t.check("%s is seen" % what, old in service and verify(broken) != "")
    lines = service.splitlines()
    t.check("75 is no failure and starts it again, and a stop leaves wader its 5 seconds",
            {"SuccessExitStatus=75", "RestartForceExitStatus=75"} <= set(lines) and
            any(line.startswith("TimeoutStopSec=") and int(line.split("=")[1]) >= 10
                for line in lines))
    # It wants a file of the unit's name.
    named = os.path.join(t.directory(), UNITS[0])
    e2e.write(os.path.dirname(named), UNITS[0], service)
    good, text = installed.quiet("systemd-analyze", "security", "--offline=yes", named)
    level = re.search(r"Overall exposure level for \S+: ([0-9.]+)", text)
    if good and level:
        t.check("exposure %s of 10, at most %s" % (level.group(1), EXPOSURE_MAX),
                float(level.group(1)) <= EXPOSURE_MAX, text)
    else:
        print("not looked at: exposure, which this systemd-analyze does not tell offline")
    t.finish()


if __name__ == "__main__":
    main()
