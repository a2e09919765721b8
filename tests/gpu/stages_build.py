# SPDX-License-Identifier: Apache-2.0
"""What the host is, the build, the tests on a device, and the same under compute-sanitizer."""
import datetime
import os
import re
import shutil
import subprocess
import sys
import time
import xml.etree.ElementTree

import host
from harness import Fail, Skip

# Tests of kernels, the quick ones first; those with cublasLt's kernels in them are only looked at
# for accesses: what the library does with its own memory is its business.
KERNEL_TESTS = ["attention_contract", "embed", "gather_cls", "head", "gelu", "gelu_e4m3",
                "layer_norm", "layer_norm_e4m3", "attention_cls", "attention"]
LIBRARY_TESTS = ["forward", "encoder"]
TOOLS = ["memcheck", "racecheck", "synccheck", "initcheck"]
SANITIZER_ERROR = 99  # an exit code that no test has
SANITIZER_SECONDS = 75  # of one run, so that one which hangs does not take the others' time


def first_line(*argv):
    out, why = host.output_of(*argv)
    lines = (out or f"not there: {why}").strip().splitlines()
    return next((line for line in lines if "release" in line), lines[0])


def environment(run, figures):
    nvcc, root = host.toolkit()
    facts, text = host.smi()
    figures.update({
        "machine": host.processor(), "memory_gb": round(
            os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 1e9),
        "kernel": " ".join(os.uname()[i] for i in (0, 2)), "devices": run.devices,
        "no_device": run.no_device, "nvidia-smi": facts,
        "nvcc": first_line(nvcc, "--version") if nvcc else None, "toolkit": root,
        "compute-sanitizer": find_sanitizer(root), "cublasLt": run.cublaslt,
        "cmake": first_line("cmake", "--version"), "cc": first_line("cc", "--version"),
        "glibc": os.confstr("CS_GNU_LIBC_VERSION"), "python": sys.version.split()[0],
        "packages": {name: host.version(name) for name in host.PACKAGES},
        "carried": bool(run.prefix), "commit": host.commit(),
        "date": datetime.datetime.now(datetime.timezone.utc).strftime("%Y-%m-%d %H:%M UTC"),
    })
    run.say(text, quiet=True)
    for key, value in figures.items():
        run.say(f"{key}: {value}")
    names = [device["name"] for device in run.devices]
    return f"{', '.join(names) if names else 'no device: ' + run.no_device}; {figures['machine']}"


# ---- build

def configure(run, nvcc, root, *more):
    argv = ["cmake", "-S", host.ROOT, "-B", run.build, "-DCMAKE_BUILD_TYPE=Release",
            "-DWADER_TESTS=ON", "-DWADER_CUDA=ON", "-DWADER_SIMT=OFF",
            f"-DCMAKE_CUDA_COMPILER={nvcc}", f"-DPython3_EXECUTABLE={sys.executable}", *more]
    if not os.path.exists(os.path.join(run.build, "CMakeCache.txt")) and shutil.which("ninja"):
        argv += ["-G", "Ninja"]
    compute = run.devices[0]["compute"].replace(".", "") if run.devices else ""
    if compute or run.rehearsal:  # which is content with one
        argv.append(f"-DWADER_CUDA_ARCHITECTURES={compute or 90}-real")
    if run.prefix:
        argv += [f"-DCMAKE_PREFIX_PATH={run.prefix}", f"-DOPENSSL_ROOT_DIR={run.prefix}"]
    env = dict(run.env)
    headers = host.find_cublaslt_headers(root)
    if headers:
        argv.append(f"-DCUBLASLT_INCLUDE_DIR={headers}")
        env["CUDAFLAGS"] = f"-I{headers} {env.get('CUDAFLAGS', '')}".strip()
    return run.need(argv, 60, env=env)


def compile_all(run):
    jobs = str(len(os.sched_getaffinity(0)))
    return run.call(["cmake", "--build", run.build, "--parallel", jobs, "--target", "wader",
                     "gpu_programs", "bench_gpu_model"], env=run.env)


def build(run, figures):
    nvcc, root = host.toolkit()
    if not nvcc:
        raise Fail("no CUDA compiler (nvcc): put it on PATH, or set CUDA_HOME")
    if os.path.exists(run.wader) and not run.rehearsal:
        os.remove(run.wader)
    begun = time.monotonic()
    configure(run, nvcc, root, "-DCMAKE_DISABLE_FIND_PACKAGE_Python3=OFF")
    figures["configure_s"] = round(time.monotonic() - begun, 1)
    done = compile_all(run)
    fault = None if done.code == 0 else f"{done.how()}: {done.last_line()[:300]}"
    if fault and run.left() > 30:
        # Another nvcc may give a kernel more registers than cuda/resources.tsv allows. That is to
        # be known, and what the device says of such a build, too: without Python nobody looks.
        run.say(f"the build failed ({fault}); again, without the check of the kernels' resources")
        configure(run, nvcc, root, "-DCMAKE_DISABLE_FIND_PACKAGE_Python3=ON")
        done = compile_all(run)
    figures["build_s"] = round(time.monotonic() - begun - figures["configure_s"], 1)
    run.built = done.code == 0 and os.path.exists(run.wader)
    if not run.built:
        raise Fail(f"{done.how()}: {done.last_line()[:300]}")
    figures["version"] = run.need([run.wader, "--version"], env=run.env).out.strip()
    if fault:
        raise Fail("built, but not with the check of the kernels' resources: " + fault)
    return (f"{figures['version']}, configured in {figures['configure_s']} s, built in "
            f"{figures['build_s']:.0f} s")


# ---- ctest -L gpu

def read_junit(path):
    cases = []
    for case in xml.etree.ElementTree.parse(path).getroot().iter("testcase"):
        out = (case.findtext("system-out") or "").strip()
        skipped = case.get("status") == "notrun" or case.find("skipped") is not None
        failed = case.find("failure") is not None or case.get("status") == "fail"
        cases.append({"test": case.get("name"), "seconds": round(float(case.get("time") or 0), 2),
                      "status": "skipped" if skipped else "failed" if failed else "passed",
                      "output": out[-1500:]})
    return cases


def tests(run, figures):
    junit = os.path.join(run.work, "gpu-tests.xml")
    limit = max(10, int(run.left()) - 5)
    if os.path.exists(junit):
        os.remove(junit)
    done = run.call(["ctest", "--test-dir", run.build, "-L", "gpu", "--output-on-failure", "-j",
                     "4", "--timeout", str(limit), "--output-junit", junit], env=run.env)
    if not os.path.exists(junit):
        raise Fail(f"ctest wrote no results: {done.how()}: {done.last_line()[:200]}")
    cases = figures["tests"] = read_junit(junit)
    for case in cases:
        run.say(f"{case['status']:8} {case['test']:28} {case['seconds']:7.2f} s")
        run.say(case["output"], quiet=True)
    failed = [c["test"] for c in cases if c["status"] == "failed"]
    passed = [c for c in cases if c["status"] == "passed"]
    if failed or not cases:
        raise Fail(f"{len(failed)} of {len(cases)} tests failed: {', '.join(failed)}")
    if not passed:
        why = re.search(r"SKIP: (.*)", "\n".join(c["output"] for c in cases))
        raise Skip(f"all {len(cases)} tests skip: {why.group(1) if why else 'no reason'}")
    skips = len(cases) - len(passed)
    return f"{len(passed)} passed, {skips} skipped"


# ---- compute-sanitizer

def find_sanitizer(root):
    inside = os.path.join(root or "", "compute-sanitizer", "compute-sanitizer")
    return host.find_program("compute-sanitizer", os.path.join(root or "", "bin",
                                                               "compute-sanitizer"), inside)


def sanitizer_jobs():
    for tool in TOOLS:
        for test in KERNEL_TESTS + (LIBRARY_TESTS if tool == "memcheck" else []):
            yield tool, test


def start_sanitizer(run, program, tool, test):
    argv = [program, "--tool", tool, "--error-exitcode", str(SANITIZER_ERROR)]
    if tool == "memcheck":  # every code of the runtime is checked by who gets it
        argv += ["--report-api-errors", "no", "--padding", "64"]
    env = {**run.env, "DEVICE_FILL": "none" if tool == "initcheck" else "nan"}
    argv.append(os.path.join(run.build, "tests", "gpu", "test_gpu_" + test))
    argv += ["--cases", "1"] if test not in LIBRARY_TESTS[1:] else []
    # Files, not pipes: nobody reads while others run.
    path = os.path.join(run.work, f"sanitizer-{tool}-{test}.txt")
    with open(path, "w", encoding="utf-8") as stream:
        process = run.start(argv, stdout=stream, stderr=subprocess.STDOUT, env=env)
    return process, path


def judge(tool, test, code, text, seconds):
    summary = re.findall(r"(?:ERROR|RACECHECK) SUMMARY: .*", text)
    status = {0: "clean", SANITIZER_ERROR: "ERRORS", None: "time was up"}.get(code, "FAILED")
    if status == "clean" and not summary:
        status = "no summary: the tool did not run"
    return {"tool": tool, "test": test, "status": status, "seconds": round(seconds, 1),
            "summary": summary[-1] if summary else text.strip()[-300:]}


def sanitizer(run, figures):
    program = find_sanitizer(host.toolkit()[1])
    if not program:
        raise Skip("no compute-sanitizer: it comes with the CUDA toolkit")
    waiting, running = list(sanitizer_jobs()), []
    at_once = max(1, min(8, len(os.sched_getaffinity(0)) // 2))
    results = figures["runs"] = []
    while waiting or running:
        up = run.left() < 6
        while waiting and len(running) < at_once and not up:
            tool, test = waiting.pop(0)
            begun = time.monotonic()
            running.append((tool, test, begun, *start_sanitizer(run, program, tool, test)))
        for job in list(running):
            tool, test, begun, process, path = job
            slow = time.monotonic() - begun > SANITIZER_SECONDS
            if process.poll() is None and not up and not slow:
                continue
            code = run.finish(process, 0.1).code
            running.remove(job)
            with open(path, encoding="utf-8", errors="replace") as stream:
                text = stream.read()
            results.append(judge(tool, test, code, text, time.monotonic() - begun))
            run.say(f"{tool:9} {test:18} {results[-1]['seconds']:6.1f} s  {results[-1]['status']}  "
                    f"{results[-1]['summary'][:120]}")
            run.say(text[-4000:] if results[-1]["status"] != "clean" else "", quiet=True)
        if up:
            break
        time.sleep(0.1)
    figures["not_begun"] = [f"{tool} {test}" for tool, test in waiting]
    clean = sum(r["status"] == "clean" for r in results)
    bad = [r for r in results if r["status"] not in ("clean", "time was up")]
    late = len(results) - clean - len(bad)
    said = f"{clean} clean, {len(bad)} with errors, {late} cut off, {len(waiting)} not begun"
    if bad:
        raise Fail(said + ": " + ", ".join(f"{r['tool']} {r['test']}" for r in bad))
    if late or waiting:
        raise Fail(said + ": what did not end says nothing; give the stage more time")
    return said
