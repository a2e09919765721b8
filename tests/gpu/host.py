# SPDX-License-Identifier: Apache-2.0
"""What the host has: devices, compilers, libraries, and the environment that programs need."""
import ctypes
import glob
import hashlib
import importlib.metadata
import os
import pathlib
import re
import shutil
import subprocess
import sys
import tarfile

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(os.path.dirname(HERE))
CARRIED = os.path.join(HERE, "carry", "prefix.tar.xz")
CARRIED_VOCABULARY = pathlib.Path(HERE, "carry", "vocab.txt.gz")
CARRIED_TITLES = pathlib.Path(HERE, "carry", "titles.txt.gz")
CUBLASLT = "libcublasLt.so.13"
PACKAGES = ["torch", "transformers", "tokenizers", "safetensors", "numpy"]


def output_of(*argv):
    try:
        done = subprocess.run(argv, capture_output=True, text=True, errors="replace", timeout=20,
                              check=False)
    except (OSError, subprocess.TimeoutExpired) as why:
        return None, str(why)
    return (done.stdout if done.returncode == 0 else None), (done.stderr or done.stdout).strip()


def find_devices():
    """(devices, why there are none), asked of the driver itself."""
    try:
        driver = ctypes.CDLL("libcuda.so.1")
    except OSError:
        return [], "no NVIDIA driver on this host (libcuda.so.1 is not there)"
    code = driver.cuInit(0)
    if code:
        return [], f"the NVIDIA driver cannot be started: CUDA error {code}"
    count = ctypes.c_int()
    driver.cuDeviceGetCount(ctypes.byref(count))
    devices = []
    for index in range(count.value):
        device, name = ctypes.c_int(), ctypes.create_string_buffer(256)
        driver.cuDeviceGet(ctypes.byref(device), index)
        driver.cuDeviceGetName(name, len(name), device)
        values = []
        for attribute in (75, 76, 16, 38):  # major, minor, multiprocessors, bytes of L2
            value = ctypes.c_int()
            driver.cuDeviceGetAttribute(ctypes.byref(value), attribute, device)
            values.append(value.value)
        devices.append({"name": name.value.decode(), "compute": f"{values[0]}.{values[1]}",
                        "multiprocessors": values[2], "l2_bytes": values[3]})
    return devices, "" if devices else "the NVIDIA driver shows no device"


# ---- compilers and libraries

def find_program(name, *places):
    for place in (shutil.which(name), *places):
        if place and os.access(place, os.X_OK):
            return place
    return None


def toolkit():
    """nvcc, and the directory of its toolkit."""
    places = [os.path.join(root, "bin", "nvcc")
              for root in (os.environ.get("CUDA_HOME"), os.environ.get("CUDA_PATH"),
                           "/usr/local/cuda") if root]
    nvcc = find_program("nvcc", *places)
    root = os.path.dirname(os.path.dirname(os.path.realpath(nvcc))) if nvcc else None
    return nvcc, root


def wheel_dirs(sub):
    """Directories of the nvidia wheels that PyTorch came with."""
    roots = [p for p in sys.path if p.endswith("-packages")]
    return [d for root in roots for d in sorted(glob.glob(os.path.join(root, "nvidia", "*", sub)))]


def find_cublaslt(root):
    dirs = [os.path.join(root, d) for d in ("lib64", "lib", "targets/x86_64-linux/lib")] \
        if root else []
    for directory in [*dirs, *wheel_dirs("lib")]:
        if os.path.exists(os.path.join(directory, CUBLASLT)):
            return directory
    listed, _ = output_of("ldconfig", "-p")
    found = re.search(re.escape(CUBLASLT) + r".*=> (\S+)", listed or "")
    return os.path.dirname(found.group(1)) if found else None


def find_cublaslt_headers(root):
    """Where cublasLt.h is when it is not beside the compiler's own headers; else None."""
    for directory in [os.path.join(root, d) for d in ("include", "targets/x86_64-linux/include")]:
        if os.path.exists(os.path.join(directory, "cublasLt.h")):
            return None
    return next((d for d in wheel_dirs("include")
                 if os.path.exists(os.path.join(d, "cublasLt.h"))), None)


def carried(work):
    """A prefix with what a bare host lacks, unpacked from what tests/gpu/pack made, or None."""
    if not os.path.isfile(CARRIED):
        return None
    prefix = os.path.join(work, "prefix")
    shutil.rmtree(prefix, ignore_errors=True)
    with tarfile.open(CARRIED) as archive:
        archive.extractall(prefix, filter="data")
    return prefix


def carried_inputs():
    """For inputs.py: the real vocabulary and titles, where tests/gpu/pack found some."""
    if not CARRIED_VOCABULARY.exists() or not CARRIED_TITLES.exists():
        return {}
    return {"vocabulary": str(CARRIED_VOCABULARY), "real_titles": str(CARRIED_TITLES)}


def program_environment(work, prefix, cublaslt):
    """For wader and the tests, not for Python: the carried libraries are not its own."""
    env = {k: v for k, v in os.environ.items() if not k.startswith("WADER_")}
    dirs = [os.path.join(prefix, "lib")] if prefix else []
    dirs += [env["LD_LIBRARY_PATH"]] if env.get("LD_LIBRARY_PATH") else []
    dirs += [cublaslt] if cublaslt else []
    if dirs:
        env["LD_LIBRARY_PATH"] = ":".join(dirs)
    env["XDG_CACHE_HOME"] = os.path.join(work, "cache")
    return env


# ---- facts

def processor():
    lines = pathlib.Path("/proc/cpuinfo").read_text("utf-8", "replace").splitlines()
    model = next((line.split(":", 1)[1].strip() for line in lines
                  if line.startswith("model name")), "unknown")
    return f"{model}, {len(os.sched_getaffinity(0))} processors"


def version(package):
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return None


def commit():
    """The commit, or where there is no repository a hash of what is built."""
    out, _ = output_of("git", "-C", ROOT, "rev-parse", "HEAD")
    if out is not None:
        changed, _ = output_of("git", "-C", ROOT, "status", "--porcelain", "--untracked-files=no")
        return out.strip() + (" with changes" if changed and changed.strip() else "")
    digest = hashlib.sha256()
    for room in ("cuda", "host", "tests", "tokenizer", "weights"):
        for path in sorted(pathlib.Path(ROOT, room).rglob("*")):
            if path.is_file() and path.suffix in (".c", ".h", ".cu", ".cuh", ".cpp"):
                digest.update(path.relative_to(ROOT).as_posix().encode() + path.read_bytes())
    return f"no repository here; sources {digest.hexdigest()[:16]}"


def smi():
    """An excerpt of what nvidia-smi tells of the first device, and its whole text."""
    text, why = output_of("nvidia-smi", "-q", "-i", "0")
    if text is None:
        return {"nvidia-smi": f"failed: {why[:200]}"}, ""
    wanted = ["Driver Version", "CUDA Version", "Product Name", "GPU UUID", "MIG Mode",
              "Persistence Mode", "Compute Mode", "Performance State", "Current Power Limit",
              "GPU Current Temp", "Virtualization Mode"]
    facts = {}
    section = ""
    for line in text.splitlines():
        key, colon, value = (part.strip() for part in line.partition(":"))
        if not colon:
            section = key or section
        elif key in wanted:
            facts.setdefault(key, value)
        elif key in ("Graphics", "SM", "Memory") and section in ("Clocks", "Max Clocks"):
            facts.setdefault(f"{section}, {key}", value)
        elif key == "Current" and section in ("MIG Mode", "ECC Mode"):
            facts.setdefault(section, value)
        elif key == "Total" and section.startswith("FB Memory"):
            facts.setdefault("Memory", value)
    return facts, text
