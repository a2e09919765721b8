# SPDX-License-Identifier: Apache-2.0
"""A model of a catalog's run over many GPUs, for scale.py. Nothing is measured here.

Each GPU has a process of its own, which takes every N-th file of the list (`--shard I/N`); with
several shares a GPU, a queue hands them out as GPUs become free. A process starts, reads the
weights, and goes through its files at one rate: the lowest that GPU, host cores, the stage of one
thread and its part of the shared file system allow. GPUs fail at random while they work; then what
was not saved yet is done again, after a new start. Behind it all, one host verifies and publishes.

Left out, so that times are too long rather than too short: those who still work when others are
done get no more of the file system than before. And too short: a GPU's clocks under load, queues
of the scheduler, neighbours on the file system.
"""
import bisect
import dataclasses
import heapq
import itertools
import math
import random


@dataclasses.dataclass(frozen=True)
class Setting:
    """Seconds, bytes and titles; 0 is none: of a limit, no limit, of failures, no failures."""
    titles: float = 1e9
    gpus: int = 1
    rate: float = 175e3            # titles/s that a GPU could do
    files: int = 4096
    sigma: float = 0.5             # of the sizes' logarithm; 0: files of one size
    shares: int = 1                # for each GPU
    cores: float = 2.0             # of the host, for each GPU
    host_seconds: float = 0.0      # of a core, for a title
    thread_rate: float = 0.0       # titles/s of the slowest stage that is one thread
    gpus_per_node: int = 8
    in_bytes: float = 0.0          # of a title, packed
    out_bytes: float = 0.0         # of its row, packed,
    row_bytes: float = 0.0         # and plain
    weights_bytes: float = 0.0     # read once on each node
    store_rate: float = 0.0        # bytes/s of the shared file system, for all together
    start_seconds: float = 0.0     # of a process, until its first title
    file_seconds: float = 0.0      # for each file, in which the GPU waits
    mtbf_hours: float = 0.0        # of a GPU with all that it needs
    checkpoint_seconds: float = 10.0  # math.inf: only whole files are saved
    requeue_seconds: float = 0.0   # until a failed process runs again
    merge_cores: int = 8
    merge_rate: float = 0.0        # plain bytes/s of rows that a core verifies


LOSSES = ("slow host or store", "start", "between files", "failures", "waiting for the last")


@dataclasses.dataclass
class Run:
    """One run; GPU seconds where nothing else is said."""
    label_seconds: float = 0.0     # until the last GPU is done
    merge_seconds: float = 0.0
    useful: float = 0.0            # the titles, at the GPUs' own rate
    losses: dict = dataclasses.field(default_factory=lambda: dict.fromkeys(LOSSES, 0.0))
    failures: int = 0
    redone: float = 0.0

    def seconds(self):
        return self.label_seconds + self.merge_seconds


def rates(s):
    """{what: titles/s that it allows one GPU}, without what has no limit."""
    moved = s.in_bytes + s.out_bytes
    limits = {"GPU": s.rate}
    if s.cores > 0 and s.host_seconds > 0:
        limits["host cores"] = s.cores / s.host_seconds
    if s.thread_rate > 0:
        limits["stage of one thread"] = s.thread_rate
    if s.store_rate > 0 and moved > 0:
        limits["file system"] = s.store_rate / moved / s.gpus
    return limits


def merge_seconds(s):
    """Reads all inputs and outputs, checks every row; no more cores work than there are files."""
    cores = min(s.merge_cores, s.files)
    check = s.titles * s.row_bytes / (cores * s.merge_rate) if s.merge_rate > 0 else 0.0
    read = s.titles * (s.in_bytes + s.out_bytes) / s.store_rate if s.store_rate > 0 else 0.0
    return max(check, read)


def weights_seconds(s):
    nodes = math.ceil(s.gpus / s.gpus_per_node)
    return s.weights_bytes * nodes / s.store_rate if s.store_rate > 0 else 0.0


def file_titles(s, rng):
    """The files' titles, in the order of their names, which says nothing of their sizes."""
    weights = [rng.lognormvariate(0, s.sigma) for _ in range(s.files)]
    scale = s.titles / math.fsum(weights)
    return [w * scale for w in weights]


def fail(s, ends, rng, run):
    """Seconds that the failures of one process cost whose files end at `ends`, counted from its
    first title on."""
    work, done, lost = ends[-1], 0.0, 0.0
    while True:
        until = rng.expovariate(1 / (3600 * s.mtbf_hours))
        if done + until >= work:
            return lost
        at = done + until
        file = bisect.bisect_right(ends, at)
        saved = max(done, ends[file - 1] if file > 0 else 0.0)
        if s.checkpoint_seconds > 0 and not math.isinf(s.checkpoint_seconds):
            saved += math.floor((at - saved) / s.checkpoint_seconds) * s.checkpoint_seconds
        elif s.checkpoint_seconds == 0:
            saved = at
        run.failures += 1
        run.redone += at - saved
        lost += at - saved + s.requeue_seconds + s.start_seconds
        done = saved


def simulate(s, rng):
    """One run."""
    run = Run(merge_seconds=merge_seconds(s), useful=s.titles / s.rate)
    rate = min(rates(s).values())
    sizes, n_shares = file_titles(s, rng), s.gpus * s.shares
    first = weights_seconds(s)
    free = [(first, gpu) for gpu in range(s.gpus)]  # when, who
    run.losses["start"] += first * s.gpus
    for share in range(n_shares):
        mine = sizes[share::n_shares]
        if not mine:
            continue  # it ends at once
        now, gpu = heapq.heappop(free)
        ends = list(itertools.accumulate(x / rate + s.file_seconds for x in mine))
        lost = fail(s, ends, rng, run) if s.mtbf_hours > 0 else 0.0
        run.losses["start"] += s.start_seconds
        run.losses["between files"] += s.file_seconds * len(mine)
        run.losses["failures"] += lost
        heapq.heappush(free, (now + s.start_seconds + ends[-1] + lost, gpu))
    run.label_seconds = max(now for now, _ in free)
    run.losses["slow host or store"] = s.titles / rate - run.useful
    run.losses["waiting for the last"] = math.fsum(run.label_seconds - now for now, _ in free)
    return run


def simulate_many(s, n_runs, seed):
    """Runs of this setting, the same ones for the same seed, whatever else is simulated."""
    rng = random.Random("%d %r" % (seed, dataclasses.astuple(s)))
    return [simulate(s, rng) for _ in range(n_runs)]


def limits(s, n_operations, operation_rate):
    """[(GPUs, what)], the lowest first: from how many GPUs on something else than GPUs decides.
    n_operations: of the file system's metadata for each file, operation_rate of them a second."""
    rate = min(v for k, v in rates(s).items() if k != "file system")
    work = s.titles / rate
    out = []
    if s.store_rate > 0 and s.in_bytes + s.out_bytes > 0:
        out.append((s.store_rate / (s.in_bytes + s.out_bytes) / rate, "the file system's bytes/s "
                    "are all taken"))
    if operation_rate > 0:
        out.append((operation_rate / n_operations * s.titles / s.files / rate,
                    "the file system's metadata operations are all taken"))
    if s.start_seconds > 0:
        out.append((work / s.start_seconds, "a process works no longer than it starts"))
    if merge_seconds(s) > 0:
        out.append((work / merge_seconds(s), "verifying takes longer than labelling"))
    # The largest of n draws, about.
    largest = math.exp(s.sigma * math.sqrt(2 * math.log(max(s.files, 2))) - s.sigma ** 2 / 2)
    out.append((s.files / largest, "the largest file alone takes as long as all"))
    out.append((float(s.files), "there is no file for every GPU"))
    return sorted(out)
