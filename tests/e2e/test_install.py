#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""`cmake --install`: what is where, that it runs there, and that nothing else comes along."""
import os
import re
import subprocess
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "support"))
import e2e  # noqa: E402
import installed  # noqa: E402

# From the build, where it makes them, and from host/engines: each with where it is installed.
MADE = {"doc/wader.1": "share/man/man1/wader.1",
        "completions/wader.bash": "share/bash-completion/completions/wader",
        "completions/_wader": "share/zsh/site-functions/_wader",
        "completions/wader.fish": "share/fish/vendor_completions.d/wader.fish"}
ALWAYS = {"bin/wader", "share/doc/wader/LICENSE", "share/doc/wader/README.md",
          "share/doc/wader/examples/nightly.env", "lib/systemd/system/wader-nightly@.service",
          "lib/systemd/system/wader-nightly@.timer", "lib/sysusers.d/wader.conf"}


def engines():
    """Every file of host/engines, by its place in an install: the nightly script is a program."""
    for directory, _, names in os.walk(installed.ENGINES):
        for name in names:
            path = os.path.join(directory, name)
            place = os.path.relpath(path, os.path.dirname(installed.ENGINES))
            yield path, ("libexec/wader/nightly" if place == "engines/nightly" else
                         os.path.join("share/wader", place))


def main():
    t = e2e.Suite(__doc__, installed.options)
    prefix = os.path.join(t.directory(), "pre fix")
    installed.install(t, prefix)
    sources = {place: os.path.join(t.args.build, made) for made, place in MADE.items()
               if os.path.exists(os.path.join(t.args.build, made))}
    sources.update((place, path) for path, place in engines())
    t.equal("these files, and no headers or libraries", sorted(installed.files(prefix)),
            sorted(ALWAYS | set(sources)))
    for place, source in sorted(sources.items()):
        path = os.path.join(prefix, place)
        t.check("%s: as it was made, and as executable" % place,
                e2e.read(path) == e2e.read(source) and
                os.access(path, os.X_OK) == os.access(source, os.X_OK))
    with open(os.path.join(prefix, "lib/systemd/system/wader-nightly@.service"),
              encoding="utf-8") as file:
        unit = file.read()
    t.check("the unit names the programs of this very prefix",
            "\"WADER=%s/bin/wader\"" % prefix in unit and
            "\nExecStart=\"%s/libexec/wader/nightly\" " % prefix in unit and
            not re.search(r"@WADER\w*@", unit), unit)
    wader = os.path.join(prefix, "bin", "wader")
    done = subprocess.run([wader, "--version"], capture_output=True, text=True, check=False)
    t.equal("the installed program tells its version", done.stdout,
            "wader %s\n" % installed.version())
    args, stdin = ["label", "--model", e2e.MODEL], b"gold\nscience news\n"
    done = subprocess.run([wader, *args], input=stdin, capture_output=True, check=False,
                          env=t.environment())
    t.check("and labels as the built one does", done.stdout == t.run(*args, stdin=stdin).out != b"",
            done.stderr)
    t.finish()


if __name__ == "__main__":
    main()
