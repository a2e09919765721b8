#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Races wader on a GPU against PyTorch on the same one, from titles to labels.

  tests/peers/gpu_encoders.py --wader build/release/wader --venv build/peers-gpu [--quick]

Peers (gpu_engines.py, gpu_packed.py): transformers' pipeline, its batch size tuned; PyTorch in bf16
with scaled_dot_product_attention on titles sorted by length, as it is and compiled; and a model by
hand that packs titles without padding, in bf16 and in fp8, as it is and compiled. Each runs in a
process of its own (gpu_worker.py) on the same model and titles; its logits are held beside fp32's
on the device, and those beside float64's on the host, before anything is timed. Batch size and
variant are looked for; rates with tokenizing and with tokens given, memory, and labels are told.

--model takes a Hugging Face directory; without one a model of bert-base-multilingual-cased's shape
with random weights is made (encoder_models.py), with --quick data/model is taken. Titles are those
of encoders.py, or of --titles-file, again and again where it has fewer than are wanted.
--no-install takes what Python has: tests/gpu/run does that.
--device cpu rehearses: its figures say nothing of a GPU. --budget shares so many seconds out. Exits
0 unless wader failed or differed, then 1; 77 after SKIP where torch, or a device, is not to be had.
"""
import argparse
import json
import os
import pathlib
import sys
import tempfile
import time

sys.path.append(sys.path.pop(0))  # or tokenizers.py here would be taken for the package
import encoder_models  # noqa: E402
import environment  # noqa: E402
import gpu_engines  # noqa: E402
import gpu_report  # noqa: E402
from encoder_engines import PACKAGES  # noqa: E402
from encoder_race import TOLERANCE, compare, statistics_of, titles_of_race  # noqa: E402
from environment import ROOT, say  # noqa: E402

NEEDED = [pair for pair in PACKAGES if pair[0] in ("torch", "transformers")]
N_CHECKED, N_FP64 = 2048, 64  # titles whose logits are compared, in fp32 and in float64
OVER = 60  # seconds that a process gets on top, to end by itself


def forced(seconds, n_left):
    """What one of so many engines gets of the seconds that are left."""
    return max(3.0, seconds / max(1, n_left))


class GpuRace:
    def __init__(self, args, titles):
        self.args, self.skipped, self.speeds = args, [], []
        self.failed = False
        self.work = pathlib.Path(args.work)
        self.titles = str(self.work / "titles.txt")
        pathlib.Path(self.titles).write_text("".join(t + "\n" for t in titles), "utf-8",
                                             newline="\n")
        self.reference_path = str(self.work / "reference.json")

    def run(self, task, timeout=900, **job):
        cores = sorted(os.sched_getaffinity(0))
        job.update(task=task, cores=cores, threads=len(cores), device=self.args.device,
                   folder=self.args.model, titles=self.titles, spawned=time.monotonic())
        variables = {"HF_HUB_OFFLINE": "1", "TRANSFORMERS_VERBOSITY": "error",
                     "TOKENIZERS_PARALLELISM": "true", "RAYON_NUM_THREADS": str(len(cores)),
                     "TORCHINDUCTOR_CACHE_DIR": str(self.work / "inductor")}
        if self.args.device == "cpu":
            variables["CUDA_VISIBLE_DEVICES"] = "-1"
        return environment.run_job("gpu_worker.py", job, self.work, variables, timeout)

    def make_reference(self):
        """fp32 on the device; and how far that is from float64. Nothing without it."""
        fp32, why = self.run("reference", variant="fp32", n=self.args.checked)
        fp64, why64 = (None, None) if why else self.run(
            "reference", variant="fp64", n=min(self.args.checked, N_FP64))
        if why or why64:
            print(f"SKIP: no reference: {why or why64}")
            sys.exit(77)
        found = compare(fp32[:len(fp64)], fp64)
        if found["apart"] > TOLERANCE * found["scale"]:
            sys.exit(f"PyTorch's own fp32 is {found['apart']:.2g} from float64 at scale "
                     f"{found['scale']:.2g}: no reference")
        pathlib.Path(self.reference_path).write_text(json.dumps(fp32), "utf-8")
        return (f"PyTorch fp32, at most {found['apart'] / found['scale']:.1e} of the largest logit "
                f"from float64 ({found['n']} titles)")

    def race(self, name, engine, seconds):
        answer, why = self.run("race", timeout=seconds + OVER, engine=name, seconds=seconds,
                               reference=self.reference_path, wader=self.args.wader,
                               repeats=self.args.repeats, sizes=self.args.sizes)
        if why:
            # A tier that is not there is no failure; a wrong or a broken one is.
            self.failed |= engine.name == "wader" and not why.startswith("not there")
            self.skipped.append(f"SKIP {name}: {why}")
            say(self.skipped[-1])
            return
        row = dict(answer, engine=name, name=engine.name, tier=engine.tier,
                   by_tokens=getattr(engine, "by_tokens", False))
        self.speeds.append(row)
        speed = gpu_report.GpuSpeed({"titles": {"tokens": 1}}, row)
        say(f"{name}: {speed.rate:,.0f} titles/s, {speed.how()}")


def device_of(args):
    """What computes, in words."""
    if args.device == "cpu":
        return "cpu: a REHEARSAL, its figures say nothing of a GPU"
    import torch
    if not torch.cuda.is_available():
        print("SKIP: PyTorch finds no CUDA device")
        sys.exit(77)
    facts = torch.cuda.get_device_properties(args.device)
    return (f"{facts.name}, compute capability {facts.major}.{facts.minor}, "
            f"{facts.multi_processor_count} multiprocessors, CUDA {torch.version.cuda}")


def model_of(args):
    """The folder of the model to race on."""
    if args.model:
        return os.path.abspath(args.model)
    if args.quick:
        return str(ROOT / "data/model")
    folder = pathlib.Path(args.work, "random")
    (folder / "hf").mkdir(parents=True, exist_ok=True)
    if not (folder / "made").exists():
        say("making a random model")
        model, _ = encoder_models.random_model(folder)
        encoder_models.save(model, folder / "hf")
        (folder / "made").touch()
    return str(folder / "hf")


def titles_of(args):
    if args.titles_file:
        lines = pathlib.Path(args.titles_file).read_text("utf-8").splitlines()
        lines = [line for line in lines if line.strip()]
        return (lines * (1 + args.titles // len(lines)))[:args.titles], None
    return titles_of_race(args.titles)


def install(args):
    environment.enter(args.venv) if args.install else None
    there = environment.versions(dict(NEEDED))
    why = environment.install(NEEDED) if args.install else {
        name: "not there" for name, _ in NEEDED if name not in there}
    if why:
        print("SKIP: " + "; ".join(f"no {name}: {reason}" for name, reason in why.items()))
        sys.exit(77)


def header(args):
    head = environment.header("gpu_encoders.py", args.repeats)
    head["device"] = device_of(args)
    head["model"] = os.path.basename(args.model.rstrip("/"))
    head["versions"] = ", ".join([f"Python {sys.version.split()[0]}"] + [
        f"{name} {version}" for name, version in environment.versions(
            [*dict(NEEDED), "tokenizers", "numpy", "triton"]).items()])
    if args.wader:
        head["wader"] = environment.output(args.wader, "--version")
    return head


def measured(args):
    install(args)
    begun = time.monotonic()
    os.makedirs(args.work, mode=0o700, exist_ok=True)
    args.model = model_of(args)
    head = header(args)
    titles, note = titles_of(args)
    race = GpuRace(args, titles)
    race.skipped += [note] if note else []
    lengths, why = race.run("count")
    if why:
        sys.exit(f"titles cannot be tokenized: {why}")
    reference = race.make_reference()
    known = gpu_engines.engines()
    names = [name for name in known if name in args.engines and known[name].tier]
    tiers = [] if not args.wader else ["fp32"] if args.device == "cpu" else gpu_report.TIERS
    names = [name for name in names if known[name].name != "wader" or known[name].tier in tiers]
    for i, name in enumerate(names):
        left = args.budget - (time.monotonic() - begun)
        if left < 3:
            race.skipped.append(f"SKIP {name}: time was up before it")
            continue
        race.race(name, known[name], forced(left, len(names) - i))
    return race.failed, {"header": head, "titles": statistics_of(titles, lengths),
                         "repeats": args.repeats, "reference": reference, "speeds": race.speeds,
                         "skipped": race.skipped}


def parse():
    names = [name for name, engine in gpu_engines.engines().items() if engine.tier]
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--wader", help="the program wader; without it, only peers race")
    parser.add_argument("--device", default="cuda", help="cuda, cuda:1, or cpu to rehearse")
    parser.add_argument("--venv", default=str(ROOT / "build/peers-gpu"), help="peers go here")
    parser.add_argument("--no-install", dest="install", action="store_false",
                        help="take what this Python has, whatever its version")
    parser.add_argument("--work", help="folder for models and titles; default: a temporary one")
    parser.add_argument("--model", help="a Hugging Face directory")
    parser.add_argument("--titles-file", help="one title a line")
    parser.add_argument("--titles", type=int, help="how many; default 200000, quick: 512")
    parser.add_argument("--quick", action="store_true", help="little of everything")
    parser.add_argument("--repeats", type=int)
    parser.add_argument("--budget", type=float, help="seconds for all; default 1200, quick 60")
    parser.add_argument("--engines", help="only these: " + ", ".join(names))
    parser.add_argument("--json", help="write the figures to this file")
    parser.add_argument("--load", help="measure nothing: print the figures of this file")
    parser.add_argument("--out", help="write the tables to this file, too")
    parser.add_argument("--markdown", action="store_true", help="print it for a README")
    args = parser.parse_args()
    args.repeats = args.repeats or (2 if args.quick else 5)
    args.titles = args.titles or (512 if args.quick else 200000)
    args.budget = args.budget or (60 if args.quick else 1200)
    args.checked = min(args.titles, 128 if args.quick else N_CHECKED)
    args.sizes = [64, 256] if args.quick else None
    args.work = args.work or os.path.join(tempfile.gettempdir(), f"wader-gpu-peers-{os.getuid()}")
    args.wader = args.wader and os.path.abspath(args.wader)
    args.engines = args.engines.split(",") if args.engines else names
    unknown = set(args.engines) - set(names)
    if unknown:
        sys.exit(f"no engine {', '.join(sorted(unknown))}; there are {', '.join(names)}")
    return args


def main():
    args = parse()
    failed = False
    if args.load:
        data = json.loads(pathlib.Path(args.load).read_text("utf-8"))
    else:
        failed, data = measured(args)
    if args.json:
        pathlib.Path(args.json).write_text(json.dumps(data, indent=1) + "\n", "utf-8")
    print("\n".join((gpu_report.markdown if args.markdown else gpu_report.text)(data)))
    if args.out:
        pathlib.Path(args.out).write_text("\n".join(gpu_report.text(data)) + "\n", "utf-8")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
