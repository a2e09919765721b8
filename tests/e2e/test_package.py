#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The Debian package that cpack makes: what it says of itself and holds; as root, that dpkg
installs it into an empty root, that it runs there, and that a purge leaves what is not its own.

--lintian: lintian too, where it is installed (some seconds), which must find no error."""
import glob
import gzip
import hashlib
import os
import re
import shutil
import subprocess
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "support"))
import e2e  # noqa: E402
import installed  # noqa: E402

TOOLS = ("cpack", "dpkg", "dpkg-deb", "dpkg-shlibdeps", "gzip", "readelf", "strip")
LIBRARIES = ("libc6", "libdnnl", "libssl", "libutf8proc", "zlib1g")
DOC = "usr/share/doc/wader/"
HOLDS = {"usr/bin/wader", "usr/lib/systemd/system/wader-nightly@.service",
         "usr/lib/systemd/system/wader-nightly@.timer", "usr/lib/sysusers.d/wader.conf",
         DOC + "copyright", DOC + "changelog.gz", DOC + "README.md", DOC + "examples/nightly.env"}


def options(parser):
    installed.options(parser)
    parser.add_argument("--lintian", action="store_true", help="also run lintian")


def text_of(root, name):
    path = os.path.join(root, name)
    return e2e.read(path).decode() if os.path.exists(path) else ""


def build(t):
    """The package's path."""
    directory = t.directory()
    cpack = os.path.join(os.path.dirname(t.args.cmake), "cpack")
    # Of the Makefiles' generator it would run make first, beside other tests; of Ninja's it packs
    # what is there.
    good, text = installed.quiet(cpack if os.path.exists(cpack) else "cpack", "-G", "DEB", "-B",
                                 directory, "-D", "CPACK_CMAKE_GENERATOR=Ninja", "--config",
                                 os.path.join(t.args.build, "CPackConfig.cmake"))
    made = glob.glob(os.path.join(directory, "*.deb"))
    if not t.check("cpack makes one package", good and len(made) == 1, text):
        t.finish()
    return made[0]


def test_control(t, package):
    version = installed.version()
    fields = subprocess.run(["dpkg-deb", "-f", package], capture_output=True, text=True,
                            check=True).stdout
    value = dict(re.findall(r"^([\w-]+): (.*)", fields, re.M))
    t.equal("name, version and section", [value.get(x) for x in ("Package", "Version", "Section")],
            ["wader", version, "science"])
    t.check("its file is named after them", re.fullmatch(r"wader_%s_\w+\.deb" % re.escape(version),
                                                         os.path.basename(package)), package)
    t.check("a maintainer and a description of a line and more",
            re.search(r"<\S+@\S+>", value.get("Maintainer", "")) and
            re.search(r"^Description: \S.*\n .*\n .*", fields, re.M), fields)
    t.check("it depends on the libraries that the program is linked with",
            all(name in value.get("Depends", "") for name in LIBRARIES), fields)


def test_contents(t, package):
    root = t.directory()
    subprocess.run(["dpkg-deb", "-R", package, root], check=True)
    held = {name for name in installed.files(root) if not name.startswith("DEBIAN/")}
    t.equal("what it must hold", sorted(HOLDS - held), [])
    t.equal("nothing outside of /usr", [x for x in held if not x.startswith("usr/")], [])
    t.check("no headers, no libraries, no second license",
            not [x for x in held if x.endswith((".h", ".a", ".so", "LICENSE"))], held)
    for made, place in (("doc/wader.1", "usr/share/man/man1/wader.1.gz"),
                        ("completions/_wader", "usr/share/zsh/vendor-completions/_wader")):
        if os.path.exists(os.path.join(t.args.build, made)):
            t.check("%s is in it" % made, place in held, held)
    packed = [x for x in held if x.endswith(".gz")]
    t.check("what is packed has neither name nor time, so that a package can be made again",
            all(e2e.read(os.path.join(root, x))[3:8] == b"\0\0\0\0\0" for x in packed), packed)
    changelog = gzip.decompress(e2e.read(os.path.join(root, DOC + "changelog.gz"))).decode()
    t.check("the changelog begins with this version",
            changelog.startswith("wader (%s) " % installed.version()), changelog)
    sums = dict(line.split("  ")[::-1] for line in
                e2e.read(os.path.join(root, "DEBIAN/md5sums")).decode().splitlines())
    t.equal("an MD5 sum for each file", sums, {
        name: hashlib.md5(e2e.read(os.path.join(root, name))).hexdigest() for name in held})
    unit = text_of(root, "usr/lib/systemd/system/wader-nightly@.service")
    t.check("the unit runs what the package brings",
            '"WADER=/usr/bin/wader"' in unit and
            '\nExecStart="/usr/libexec/wader/nightly" ' in unit, unit)
    sections = subprocess.run(["readelf", "-SW", os.path.join(root, "usr/bin/wader")],
                              capture_output=True, text=True, check=False).stdout
    t.check("the program is stripped", ".text" in sections and ".symtab" not in sections, sections)


def test_dpkg(t, package):
    root = t.directory()
    for name in ("etc", "var/lib/dpkg/info", "var/lib/dpkg/updates", "var/cache/wader",
                 "var/lib/wader"):
        os.makedirs(os.path.join(root, name))
    e2e.write(os.path.join(root, "var/lib/dpkg"), "status", "")
    kept = e2e.write(os.path.join(root, "var/lib/wader"), "labels", "of a night")
    e2e.write(os.path.join(root, "var/cache/wader"), "algorithms", "found out")
    dpkg = ["dpkg", "--root=" + root, "--log=" + os.path.join(root, "var/log"),
            "--force-script-chrootless", "--force-depends"]
    good, text = installed.quiet(*dpkg, "-i", package, env=dict(os.environ, PATH=(
        os.environ.get("PATH", "") + ":/usr/sbin:/sbin")))
    t.check("dpkg installs it", good, text)
    wader = os.path.join(root, "usr/bin/wader")
    good, text = installed.quiet(wader, "--version")
    t.equal("it runs", (good, text), (True, "wader %s\n" % installed.version()))
    args, stdin = ["label", "--model", e2e.MODEL], b"gold\nscience news\n"
    done = subprocess.run([wader, *args], input=stdin, capture_output=True, check=False,
                          env=t.environment())
    t.check("it labels as the built one does",
            done.stdout == t.run(*args, stdin=stdin).out != b"", done.stderr)
    if shutil.which("systemd-sysusers"):
        t.check("the user of nightly runs is there", "wader:" in text_of(root, "etc/passwd"))
    good, text = installed.quiet(*dpkg, "-P", "wader")
    left = {x for x in installed.files(root)
            if not x.startswith(("etc/", "var/lib/dpkg/", "var/log"))}
    t.equal("a purge leaves labels, and nothing else", (good, left, e2e.read(kept)),
            (True, {"var/lib/wader/labels"}, b"of a night"))


def main():
    t = e2e.Suite(__doc__, options)
    missing = [name for name in TOOLS if shutil.which(name) is None]
    if missing or not os.path.exists(os.path.join(t.args.build, "CPackConfig.cmake")):
        e2e.skip("no Debian package can be made here: %s" %
                 (", ".join(missing) or "configured without gzip or dpkg-shlibdeps"))
    package = build(t)
    test_control(t, package)
    test_contents(t, package)
    if os.geteuid() == 0:
        test_dpkg(t, package)
    else:
        print("not looked at: whether dpkg installs and purges it, which only root can do")
    if t.args.lintian:
        good, text = installed.quiet("lintian", "--allow-root", "--fail-on", "error", package)
        print(text)
        t.check("lintian finds no error", good, text)
    t.finish()


if __name__ == "__main__":
    main()
