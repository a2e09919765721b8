#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""What other readers make of files that are no good gzip, beside wader: gzip -dc, Python, Java
(GZIPInputStream), each where it is there. Run by hand.

usage: gzip_readers.py --wader build/wader

A reader is silent where it ends well on a file that is not whole: what it gave is then taken for
all there is. The files are those of tests/e2e/test_damage.py.
"""
import gzip
import os
import shutil
import subprocess
import sys
import zlib

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "support"))
import e2e  # noqa: E402
import gzip_cases  # noqa: E402

JAVA = """
import java.io.*;
import java.util.zip.GZIPInputStream;
public class ReadGzip {
    public static void main(String[] paths) {
        for (String path : paths) {
            long n = 0;
            String end = "ok";
            try (InputStream in = new GZIPInputStream(new FileInputStream(path))) {
                byte[] bytes = new byte[8192];
                for (int k; (k = in.read(bytes)) >= 0;) n += k;
            } catch (IOException e) {
                end = "error";
            }
            System.out.println(n + " " + end);
        }
    }
}
"""


def read_with_gzip(paths):
    for path in paths:
        done = subprocess.run(["gzip", "-dc", path], stdout=subprocess.PIPE,
                              stderr=subprocess.DEVNULL, check=False)
        yield len(done.stdout), {0: "ok", 2: "warning"}.get(done.returncode, "error")


def read_with_python(paths):
    for path in paths:
        n = 0
        try:
            with gzip.open(path) as file:
                for part in iter(lambda: file.read(4096), b""):
                    n += len(part)
            yield n, "ok"
        except (OSError, EOFError, zlib.error):
            yield n, "error"


def read_with_java(paths, directory):
    source = e2e.write(directory, "ReadGzip.java", JAVA)
    subprocess.run(["javac", "-d", directory, source], check=True)
    done = subprocess.run(["java", "-cp", directory, "ReadGzip", *paths], check=True,
                          stdout=subprocess.PIPE, text=True)
    for line in done.stdout.splitlines():
        n, end = line.split()
        yield int(n), end


def read_with_wader(t, paths):
    """Bytes of rows that a caller may take for good: those of a committed output."""
    for path in paths:
        output = path + ".out"
        result = t.label("-q", "--threads", "1", "-o", output, path)
        yield (os.path.getsize(output) if os.path.exists(output) else 0,
               "ok" if result.code == 0 else "error")


def verdict(case, n, end, whole):
    """In a word what a caller learns."""
    good = case.wanted is not None
    if end == "ok":
        return "ok" if good else "SILENT, %s" % ("all" if n >= whole else "%d bytes" % n)
    note = end if end == "error" else "a warning"
    return note if n == 0 else "%s after %d bytes" % (note, n)


def main():
    t = e2e.Suite(__doc__.split("\n", maxsplit=1)[0])
    plain = e2e.titled(e2e.random_titles(t.seed, 2000))
    directory = t.directory()
    cases = gzip_cases.cases(plain)
    paths = [e2e.write(directory, "%02d.jsonl.gz" % i, c.data) for i, c in enumerate(cases)]
    readers = {"wader": list(read_with_wader(t, paths))}
    if shutil.which("gzip"):
        readers["gzip -dc"] = list(read_with_gzip(paths))
    readers["Python %d.%d" % sys.version_info[:2]] = list(read_with_python(paths))
    if shutil.which("javac"):
        readers["Java"] = list(read_with_java(paths, t.directory()))
    print("%d bytes of titles; what a reader's caller learns of each file" % len(plain))
    print(("%-36s" % "file" + "".join("%-29s" % name for name in readers)).rstrip())
    silent = dict.fromkeys(readers, 0)
    for i, case in enumerate(cases):
        words = {name: verdict(case, *read[i], len(plain)) for name, read in readers.items()}
        line = "%-36s" % case.what + "".join("%-29s" % w for w in words.values())
        print(line.rstrip())
        for name, word in words.items():
            silent[name] += word.startswith("SILENT")
    print(("%-36s" % "silent" + "".join("%-29s" % n for n in silent.values())).rstrip())
    sys.exit(1 if silent["wader"] else 0)


if __name__ == "__main__":
    main()
