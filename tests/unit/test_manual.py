#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The manual page and the completions that the build made of the table of options: whole, without
warnings, and what bash offers is what `wader help` lists.

usage: test_manual.py --build DIRECTORY --wader PATH
"""
import argparse
import os
import re
import shutil
import subprocess
import sys

failures = []


def check(what, good, detail=""):
    print("%-5s %s" % ("ok" if good else "FAIL", what))
    if not good:
        failures.append(what)
        print("      " + str(detail)[:2000])


def run(*command, stdin=None, env=None):
    done = subprocess.run(command, input=stdin, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                          text=True, check=False, env=env)
    return done.returncode, done.stdout


def read(path):
    with open(path, encoding="utf-8") as file:
        return file.read()


def commands_of(wader):
    names = re.findall(r"^  wader (\w+)", run(wader, "help")[1], re.M)
    return {name: re.findall(r"^  (?:-\w, |    )--([\w-]+)( \S+)?", run(wader, "help", name)[1],
                             re.M) for name in names}


def check_page(page, options):
    text = read(page)
    for name in {name for listed in options.values() for name, _ in listed}:
        check("the page has --" + name, re.search(r"Fl \\-%s\b" % re.escape(name), text))
    for command in options:
        check("the page has " + command, "\n.It Cm %s\n" % command in text)
    for section in ("NAME", "SYNOPSIS", "OPTIONS", "CONFIGURATION FILE", "ENVIRONMENT", "FILES",
                    "EXIT STATUS", "EXAMPLES"):
        check("the page has a section " + section, "\n.Sh %s\n" % section in text)
    check("the page is ASCII", text.isascii())
    check("no line of the page is long", max(map(len, text.splitlines())) <= 80)
    if shutil.which("mandoc"):
        code, said = run("mandoc", "-Tlint", page)
        check("mandoc -Tlint says nothing", (code, said) == (0, ""), said)
    else:
        print("SKIP  mandoc is not here")
    if shutil.which("man") and shutil.which("groff"):
        code, said = run("sh", "-c", "LC_ALL=C.UTF-8 man --warnings -l '%s' 2>&1 >/dev/null" % page)
        check("man --warnings says nothing", (code, said) == (0, ""), said)
    else:
        print("SKIP  man is not here")


def complete(script, words, directory="."):
    """What bash offers for the last of `words`."""
    program = ("source '%s'; cd '%s'; COMP_WORDS=(%s); COMP_CWORD=%d; _wader\n"
               "printf '%%s\\n' \"${COMPREPLY[@]}\"") % (
                   script, directory, " ".join("'%s'" % word for word in words), len(words) - 1)
    code, said = run("bash", "--norc", "-c", program)
    return sorted(line for line in said.splitlines() if line) if code == 0 else [code, said]


def check_bash(script, options, scratch):
    check("bash -n", run("bash", "-n", script) == (0, ""), run("bash", "-n", script))
    for command, listed in options.items():
        if not listed:
            continue
        wanted = sorted(["--" + name for name, _ in listed] + ["--help"])
        got = complete(script, ["wader", command, "--"])
        check("bash offers the options of " + command, got == wanted, (got, wanted))
    commands = sorted(options)
    got = complete(script, ["wader", ""])
    check("bash offers the commands", got == sorted(commands + ["--version", "--help"]), got)
    check("and after help too", complete(script, ["wader", "help", ""]) == commands)
    check("one by its beginning", complete(script, ["wader", "lab"]) == ["label"])
    os.makedirs(os.path.join(scratch, "models"), exist_ok=True)
    with open(os.path.join(scratch, "mine.jsonl"), "w", encoding="utf-8"):
        pass
    for words, wanted in (
            (["label", "--progress", ""], ["auto", "json", "none", "plain", "tty"]),
            (["label", "--progress", "=", "pl"], ["plain"]),
            (["label", "--progress", "="], ["auto", "json", "none", "plain", "tty"]),
            (["label", "--log-format", "j"], ["json"]),
            (["convert", "--dtype", "b"], ["bf16"]),
            (["label", "--model", "m"], ["models"]),
            (["label", "-m", "m"], ["models"]),
            (["label", "--labels", "m"], ["mine.jsonl", "models"]),
            (["label", "m"], ["mine.jsonl", "models"]),
            (["label", "--threads", ""], []),
            (["label", "--quiet", "m"], ["mine.jsonl", "models"]),
            (["tokenize", "--qui"], [])):
        got = complete(script, ["wader"] + words, scratch)
        check("bash: wader %s" % " ".join(words), got == wanted, (got, wanted))


def check_shell(shell, script, options, form):
    text = read(script)
    for command, listed in options.items():
        check("%s has %s" % (shell, command), re.search(r"\b%s\b" % command, text))
        for name, _ in listed:
            if not re.search(form % (command, re.escape(name)), text, re.S):
                check("%s: %s --%s" % (shell, command, name), False)
    if shutil.which(shell):
        code, said = run(shell, "-n", script)
        check(shell + " -n", (code, said) == (0, ""), said)
    else:
        print("SKIP  %s is not here" % shell)


def check_fish_offers(script):
    if not shutil.which("fish"):
        return
    code, said = run("fish", "--no-config", "-c",
                     "source '%s'; complete -C 'wader label --log-format '" % script)
    check("fish offers words", code == 0 and
          [line.split("\t")[0] for line in said.splitlines()] == ["json", "text"], said)


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--build", required=True)
    parser.add_argument("--wader", required=True)
    args = parser.parse_args()
    options = commands_of(args.wader)
    check("there are commands and options", len(options) > 10 and len(options["label"]) > 20)
    completions = os.path.join(args.build, "completions")
    check_page(os.path.join(args.build, "doc", "wader.1"), options)
    check_bash(os.path.join(completions, "wader.bash"), options,
               os.path.join(args.build, "manual_scratch"))
    check_shell("zsh", os.path.join(completions, "_wader"), options,
                r"\n +%s\)\n.{1,20000}--%s\b")
    check_shell("fish", os.path.join(completions, "wader.fish"), options,
                r"from %s' -l %s\b")
    check_fish_offers(os.path.join(completions, "wader.fish"))
    print("%d failures" % len(failures))
    return 1 if failures else 0


sys.exit(main())
