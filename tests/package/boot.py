#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The package on a Debian of its own that boots a real systemd: installs it with apt, runs nights
by its units, stops, kills and interrupts them, lets the timer start one, and purges it.

usage, as root: boot.py --deb build/wader_0.1.0_amd64.deb [--root DIR] [--nightly FILE]

It needs debootstrap, systemd-nspawn (systemd-container) and a mirror of Debian 12, 400 MB and some
minutes; a DIR that is there already is used again. Not part of ctest. --nightly is for a package
that lacks the script."""
import argparse
import gzip
import json
import os
import shutil
import subprocess
import sys
import tempfile

REPOSITORY = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
SUITE, MIRROR = "bookworm", "http://deb.debian.org/debian"
N_TITLES = 6000
PATIENCE = 600  # seconds, from boot to halt

# Run in the booted system; each line of `say` is a fact that main() looks at.
INSIDE = r"""
exec >/srv/facts 2>/srv/log
set -x
unit=wader-nightly@demo.service
say() { echo "$1=$2"; }
show() { systemctl show -P "$1" $unit; }
until_is() {
    for i in $(seq 600); do [ "$(show "$1")" != "$2" ] || return 0; sleep 0.2; done
    return 1
}
at_work() { # some seconds of it
    for i in $(seq 600); do pgrep -x wader >/dev/null && sleep 4 && return 0; sleep 0.1; done
    return 1
}
mkdir -p /etc/systemd/system/wader-nightly@.service.d
printf '[Service]\nRestartSec=1\n' >/etc/systemd/system/wader-nightly@.service.d/quick.conf
systemctl daemon-reload
say enabled "$(systemctl is-enabled wader-nightly@demo.timer)"

systemctl start $unit
say without_settings "$(show ActiveState),$(show ConditionResult)"
cp /srv/demo.env /etc/wader/demo.env

systemctl start $unit
at_work
begun=$(date +%s%N)
systemctl stop $unit
say stop_ms $((($(date +%s%N) - begun) / 1000000))
say stopped "$(show ActiveState),$(show Result),$(show NRestarts)"
say published "$(ls -A /var/lib/wader/demo | grep -c current)"

systemctl start $unit
at_work
systemctl kill --signal=TERM $unit
until_is NRestarts 1
say interrupted "$(show NRestarts)"
until_is ActiveState inactive
say finished "$(show Result),$(ls -A /var/lib/wader/demo | grep -c current)"
say went_on "$(journalctl -b -u $unit | grep -c 'going on behind record')"
say owner "$(stat -c %U:%G:%a "$(readlink -f /var/lib/wader/demo/current)"/*.labels.jsonl.gz)"
cp "$(readlink -f /var/lib/wader/demo/current)"/*.labels.jsonl.gz /srv/night.labels.jsonl.gz
say hidden "$(find /var/lib/wader/demo/current/ -name '.*' -type f | wc -l)"

rm -rf /var/lib/wader/demo/* /var/lib/wader/demo/.[a-z]*
at_work & # until the timer's night is at work
mkdir -p /etc/systemd/system/wader-nightly@.timer.d
printf '[Timer]\nOnCalendar=\nOnActiveSec=1\nRandomizedDelaySec=0\n' \
    >/etc/systemd/system/wader-nightly@.timer.d/soon.conf
systemctl daemon-reload
systemctl start wader-nightly@demo.timer
wait
say by_timer "$(show ActiveState)"
apt-get -qq purge -y wader >/srv/purge 2>&1
say purged "$?"
say after_purge "$(pgrep -xc wader),$(ls /usr/bin/wader /usr/lib/systemd/system/wader* 2>/dev/null)"
say journal "$(find /var/lib/wader/demo -name '.*.journal' | wc -l)"
journalctl -b -u $unit --no-pager >/srv/journal 2>&1
"""

SERVICE = """[Unit]
After=multi-user.target
[Service]
Type=oneshot
ExecStart=/bin/bash /srv/inside
ExecStopPost=/bin/systemctl poweroff --no-block
[Install]
WantedBy=default.target
"""


def must(*command, **kwargs):
    print("+ " + " ".join(command), flush=True)
    subprocess.run(command, check=True, **kwargs)


def write(path, text):
    os.makedirs(os.path.dirname(path), exist_ok=True)
    with open(path, "w", encoding="utf-8") as file:
        file.write(text)


def catalog(path):
    """Titles of the sample, again and again: half a minute of work."""
    with gzip.open(os.path.join(REPOSITORY, "data/sample/catalog.jsonl.gz"), "rb") as file:
        lines = [json.loads(x)["title"] for x in file if b'"title"' in x]
    titles = [x for x in lines if isinstance(x, str)]
    with gzip.open(path, "wt", encoding="utf-8") as file:
        for i in range(N_TITLES):
            file.write(json.dumps({"id": i, "title": titles[i % len(titles)] + " %d" % i}) + "\n")


def prepare(args):
    root = args.root
    if not os.path.exists(os.path.join(root, "usr")):
        must("debootstrap", "--variant=minbase", "--include=systemd,systemd-sysv,dbus,procps",
             SUITE, root, MIRROR, stdout=subprocess.DEVNULL)
    shutil.copy(args.deb, os.path.join(root, "srv", "wader.deb"))
    must("chroot", root, "sh", "-c", "export DEBIAN_FRONTEND=noninteractive; apt-get -qq update && "
         "apt-get -qq install -y --no-install-recommends procps && apt-get -qq install -y "
         "--reinstall --no-install-recommends /srv/wader.deb", stdout=subprocess.DEVNULL)
    if args.nightly:
        os.makedirs(os.path.join(root, "usr/libexec/wader"), exist_ok=True)
        shutil.copy(args.nightly, os.path.join(root, "usr/libexec/wader/nightly"))
    shutil.rmtree(os.path.join(root, "etc/systemd/system/wader-nightly@.timer.d"), True)
    shutil.rmtree(os.path.join(root, "var/lib/wader"), True)
    shutil.copytree(os.path.join(REPOSITORY, "data/model"), os.path.join(root, "srv/model"),
                    dirs_exist_ok=True)
    os.makedirs(os.path.join(root, "etc/wader"), exist_ok=True)
    for name in ("etc/wader/demo.env", "srv/facts", "srv/night.labels.jsonl.gz"):
        if os.path.exists(os.path.join(root, name)):  # of an earlier boot
            os.remove(os.path.join(root, name))
    catalog(os.path.join(root, "srv/titles.jsonl.gz"))
    write(os.path.join(root, "srv/demo.env"), "NIGHTLY_MODEL=/srv/model\nNIGHTLY_INPUTS="
          "/srv/titles.jsonl.gz\nWADER_THREADS=1\nWADER_CHECKPOINT_SECONDS=0\n")
    write(os.path.join(root, "srv/inside"), INSIDE)
    write(os.path.join(root, "etc/systemd/system/inside.service"), SERVICE)
    must("chroot", root, "systemctl", "-q", "enable", "inside.service")


def judge(facts, root):
    """[(what, whether it is so, what was seen)]"""
    with tempfile.TemporaryDirectory() as directory:
        plain = os.path.join(directory, "plain.jsonl.gz")
        must(os.path.join(root, "srv/wader.bin"), "label", "-q", "--model",
             os.path.join(REPOSITORY, "data/model"), "-o", plain,
             os.path.join(root, "srv/titles.jsonl.gz"))
        with gzip.open(plain) as file:
            wanted = file.read()
    night = os.path.join(root, "srv/night.labels.jsonl.gz")
    got = gzip.open(night).read() if os.path.exists(night) else b""

    def fact(name):
        return facts.get(name, "not told")
    return [
        ("no timer is enabled by the package", fact("enabled") == "disabled", fact("enabled")),
        ("without settings it does not start", fact("without_settings") == "inactive,no",
         fact("without_settings")),
        ("stopped: that is no failure, and it is not started again",
         fact("stopped") == "inactive,success,0", fact("stopped")),
        ("... within 10 s", fact("stop_ms").isdigit() and int(fact("stop_ms")) < 10000,
         fact("stop_ms")),
        ("... and nothing is published", fact("published") == "0", fact("published")),
        ("interrupted by a signal: it is started again", fact("interrupted") == "1",
         fact("interrupted")),
        ("... and publishes", fact("finished") == "success,1", fact("finished")),
        ("both times it goes on where it was", fact("went_on") == "2", fact("went_on")),
        ("... to the bytes of an uninterrupted run", got == wanted != b"", len(got)),
        ("... nothing hidden beside them", fact("hidden") == "0", fact("hidden")),
        ("labels belong to wader, and all may read them", fact("owner") == "wader:wader:644",
         fact("owner")),
        ("the timer starts a night", fact("by_timer") == "active", fact("by_timer")),
        ("a purge in the middle of it", fact("purged") == "0", fact("purged")),
        ("... stops it and leaves nothing of the package", fact("after_purge") == "0,",
         fact("after_purge")),
        ("... but the progress of the night", fact("journal") == "1", fact("journal")),
    ]


def main():
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--deb", required=True)
    parser.add_argument("--root", help="where the Debian is, or will be made")
    parser.add_argument("--nightly", help="installed where the package lacks it")
    args = parser.parse_args()
    missing = [x for x in ("debootstrap", "systemd-nspawn", "chroot") if not shutil.which(x)]
    if missing or os.geteuid() != 0:
        print("SKIP: it needs root, and here lacks: " + " ".join(missing))
        return 77
    made = None if args.root else tempfile.mkdtemp(prefix="wader-boot-")
    args.root = args.root or made
    try:
        prepare(args)
        shutil.copy(os.path.join(args.root, "usr/bin/wader"),
                    os.path.join(args.root, "srv/wader.bin"))
        must("timeout", "-s", "TERM", "-k", "30", str(PATIENCE), "systemd-nspawn", "-q", "-b", "-D",
             args.root, "--register=no", "--keep-unit", stdin=subprocess.DEVNULL,
             stdout=subprocess.DEVNULL)
        with open(os.path.join(args.root, "srv/facts"), encoding="utf-8") as file:
            facts = dict(line.rstrip("\n").split("=", 1) for line in file if "=" in line)
        checks = judge(facts, args.root)
        for what, good, seen in checks:
            print("%s  %s%s" % ("ok  " if good else "FAIL", what, "" if good else ": %s" % seen))
        return 0 if all(good for _, good, _ in checks) else 1
    finally:
        if made:
            shutil.rmtree(made, ignore_errors=True)


if __name__ == "__main__":
    sys.exit(main())
