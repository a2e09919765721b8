# SPDX-License-Identifier: Apache-2.0
"""The results of tests/peers/encoders.py as tables: all figures as text, the gist as Markdown."""
import statistics

from encoder_engines import ENGINES, TIERS
from report import number, table

NOTES = """\
From titles to labels: tokenizing, sorting, batching and padding are within the time of everybody.
Peers get a list of str, tokenize it with Hugging Face's tokenizers (the pipeline by itself), sort
it by length, and are run at the batch size (1 to 64) and, on several cores, the number of streams
that were quickest in a search before; loading and compiling are not in their time. wader's time is
that of the whole command, from a file of the titles to a committed file of rows; the file holds the
titles so often that start-up is about 2 % of the run (or the run a minute). All processes are
pinned to the same cores, and the order is shuffled anew for each repeat. Rates are medians; beside
them the slowest and the quickest run. wader / it: wader's rate in the same tier over this one's.
labels: how many are those of transformers in float64. cores had: processor seconds over seconds of
the cores; on one core, less than about 98 % tells that something else ran there meanwhile. first
label: seconds from the start of the process to its first label, files in the page cache; a peer's
includes Python, its library and what it compiles. OpenVINO's int8 has ranges of activations that it
learnt from 128 other titles; the others have none to learn."""

# In the tier, wader's rate is to be at least so many times that of a peer.
GOALS = [("wader-fp32", "onnx-runtime-fp32", 1.15), ("wader-fp32", "ctranslate2-fp32", 1.15),
         ("wader-bf16", "pytorch-bf16", 1.35), ("wader-int8", "onnx-runtime-int8", 1.25),
         ("wader-int8", "ctranslate2-int8", 1.25), ("wader-fp32", "transformers-pipeline-fp32", 3),
         ("wader-int8", "transformers-pipeline-fp32", 10)]


class Speed:
    def __init__(self, data, row):
        self.row, self.engine = row, row["engine"]
        self.cores = row["cores"]
        self.rate = statistics.median(row["rates"])
        self.start = statistics.median(row["starts"])
        self.tokens = self.rate * data["titles"]["tokens"]
        self.busy = statistics.median(row["busy"])
        self.same = min(row["same"]) / row["n"]
        self.tier = ENGINES[self.engine].tier
        self.name = ENGINES[self.engine].name

    def how(self):
        streams, threads = self.row["layout"]
        words = [self.row["variant"]] if self.row["variant"] else []
        if self.row["copies"]:
            words.append(f"titles {self.row['copies']} times")
        elif ENGINES[self.engine].batches:
            words.append(f"batch {self.row['batch']}")
        if streams > 1:
            words.append(f"{streams} streams")
        return ", ".join(words)

    def spread(self):
        return f"{number(min(self.row['rates']))}–{number(max(self.row['rates']))}"


class Results:
    def __init__(self, data):
        self.data = data
        self.speeds = {(row["engine"], row["cores"]): Speed(data, row) for row in data["speeds"]}
        self.cores = sorted({cores for _, cores in self.speeds})

    def of(self, tier, cores):
        """The quickest first."""
        return sorted((speed for speed in self.speeds.values()
                       if speed.tier == tier and speed.cores == cores),
                      key=lambda speed: -speed.rate)

    def ratio(self, mine, other, cores):
        a, b = self.speeds.get((mine, cores)), self.speeds.get((other, cores))
        return a.rate / b.rate if a and b else None

    def to_ours(self, speed):
        return "" if speed.name == "wader" else times(
            self.ratio(f"wader-{speed.tier}", speed.engine, speed.cores))

    def goals(self):
        """Sentences, each with what was measured."""
        for cores in self.cores:
            for mine, other, wanted in GOALS:
                ratio = self.ratio(mine, other, cores)
                if ratio is not None:
                    yield (f"{mine} / {other} on {plural(cores)}: {ratio:.2f}, wanted {wanted}: "
                           + ("reached" if ratio >= wanted else "missed"))
        for tier in TIERS:
            for cores in self.cores[1:]:
                one = self.speeds.get((f"wader-{tier}", 1))
                more = self.speeds.get((f"wader-{tier}", cores))
                if one and more:
                    yield (f"wader-{tier} on {plural(cores)} / on 1 core: "
                           f"{more.rate / one.rate:.2f}")


def plural(cores):
    return f"{cores} core" + ("s" if cores > 1 else "")


def times(ratio):
    return "" if ratio is None else f"{ratio:.2f} ×"


def share(same):
    return f"{100 * same:.1f} %"


def header_lines(data):
    yield from (f"{key}: {value}" for key, value in data["header"].items())
    facts = data["titles"]
    yield (f"titles: {facts['titles']:,}, on average {facts['bytes']:.0f} bytes and "
           f"{facts['tokens']:.1f} tokens; half have {facts['median']} tokens or fewer, nine of "
           f"ten {facts['p90']}, the longest {facts['most']}")
    yield from data["skipped"]


def check_rows(data):
    yield ["model", "encoder", "variant", "logits apart", "largest logit", "apart / largest",
           "labels as float64"]
    for row in data["checks"]:
        yield [row["model"], row["engine"], row["variant"], f"{row['apart']:.2g}",
               f"{row['scale']:.3g}", f"{row['apart'] / row['scale']:.1e}",
               f"{row['same']} of {row['n']}"]


def speed_rows(results, cores):
    yield ["tier", "encoder", "how", "titles/s", "slowest–quickest", "tokens/s", "wader / it",
           "labels", "cores had", "first label, s"]
    for tier in TIERS:
        for speed in results.of(tier, cores):
            yield [tier, speed.name, speed.how(), number(speed.rate), speed.spread(),
                   number(speed.tokens), results.to_ours(speed), share(speed.same),
                   f"{speed.busy:.0%}", f"{speed.start:.2f}"]


def text(data):
    results = Results(data)
    yield from header_lines(data)
    yield "\nLogits beside transformers in float64; in fp32 1e-4 of the largest is allowed"
    yield from table(list(check_rows(data)))
    yield ""
    yield NOTES
    for cores in results.cores:
        yield "\n" + plural(cores)
        yield from table(list(speed_rows(results, cores)))
    yield ""
    yield from results.goals()


def demo_labels(data, engine):
    """The smallest share that any variant has of the demo model's labels."""
    shares = [row["same"] / row["n"] for row in data["checks"]
              if row["model"] == "demo" and row["engine"] == engine]
    return share(min(shares)) if shares else ""


def markdown_rows(results):
    first = results.cores[0]
    for tier in TIERS:
        for speed in results.of(tier, first):
            bold = "**" if speed.name == "wader" else ""
            cells = [f"{bold}{speed.name}{bold}", tier]
            for cores in results.cores:
                other = results.speeds.get((speed.engine, cores))
                cells += [f"{number(other.rate)} · {number(other.tokens)}",
                          results.to_ours(other)] if other else ["", ""]
            yield [*cells, share(speed.same), demo_labels(results.data, speed.engine),
                   f"{speed.start:.2f} s"]


def markdown(data):
    results = Results(data)
    yield "  \n".join(header_lines(data)) + "\n"
    heads = ["encoder", "tier"]
    for cores in results.cores:
        heads += [f"{plural(cores)}: titles/s · tokens/s", "wader / it"]
    heads += ["labels as float64: random weights", "demo model", "first label"]
    yield "| " + " | ".join(heads) + " |"
    yield "|" + "---|" * len(heads)
    for row in markdown_rows(results) if results.cores else []:
        yield "| " + " | ".join(row) + " |"
    spreads = sorted((max(s.row["rates"]) - min(s.row["rates"])) / s.rate
                     for s in results.speeds.values())
    if spreads:
        least = min(speed.busy for speed in results.speeds.values() if speed.cores == 1) \
            if 1 in results.cores else None
        yield (f"\nMedians of {data['repeats']} runs. Quickest minus slowest, over the median: "
               f"{spreads[len(spreads) // 2]:.1%} in the middle, {spreads[-1]:.1%} at most." +
               (f" On one core each had at least {least:.0%} of it." if least else ""))
    yield NOTES
