# SPDX-License-Identifier: Apache-2.0
"""The results of tests/peers/tokenizers.py as tables: all figures as text, the gist as Markdown."""
import statistics

OURS, RIVAL, REFERENCE = "wader", "nanotoken", "hf"
PHASES = ["cold", "steady", "warm", "fresh", "any"]
HEADS = {"en": "English", "ml": "97 languages", "long_en": "English, 2 kB lines",
         "long_ml": "97 languages, 2 kB lines"}
NOTES = """\
cold: nothing was encoded before; steady: other titles of the same source were; warm: the very same
titles were. Engines that forget by a call were told to before each run; others began a new process
for each; those that have nothing to forget have one figure, "any", set against the steady one of
the others (with several threads: the cold one). Files are in the page cache. wader, nanotoken and
tokie read and split the file within the time; the others get a list of str, BlingFire a buffer, and
TensorFlow Text a tensor, made before. tf-text, blingfire and kitoken add no [CLS] and [SEP] within
the time. The reference, hf, is timed on the first 20,000 titles (1,000 long ones). A MB is 10^6
bytes. differ: share of titles whose ids are not those of the reference. wader's callers bring the
memory for ids: it was written to before; "fresh" is the warm run with memory that the kernel has
just given, as that of the others' results is."""


class Speed:
    """One measured phase; rates are those of the median run."""

    def __init__(self, result):
        self.result = result
        self.seconds = statistics.median(result["seconds"])
        self.titles = result["titles"] / self.seconds / 1e3
        self.mb, self.tokens = (result[key] / self.seconds / 1e6 for key in ("bytes", "tokens"))
        self.slowest = result["bytes"] / max(result["seconds"]) / 1e6
        self.fastest = result["bytes"] / min(result["seconds"]) / 1e6
        self.spread = (max(result["seconds"]) - min(result["seconds"])) / self.seconds


def number(value):
    if value is None:
        return ""
    return f"{value:,.0f}" if value >= 100 else f"{value:.1f}" if value >= 10 else f"{value:.2f}"


def percent(share):
    return "" if share is None else "0" if not share else f"{100 * share:.2g} %"


class Results:
    def __init__(self, data):
        self.data = data
        self.speeds = {}
        for result in data["results"]:
            place = (result["vocabulary"], result["corpus"], result["engine"], result["threads"],
                     result["phase"])
            self.speeds[place] = Speed(result)
        self.vocabularies = list(dict.fromkeys(r["vocabulary"] for r in data["results"]))
        self.corpora = [c for c in HEADS if any(r["corpus"] == c for r in data["results"])]
        self.engines = list(dict.fromkeys(r["engine"] for r in data["results"]))
        self.threads = sorted({r["threads"] for r in data["results"]})

    def speed(self, *place):
        """The speed of a phase, or what comes nearest for an engine without that phase."""
        *where, phase = place
        wanted = {"any": ["any", "steady", "cold"], "fresh": ["fresh", "warm", "any"]}.get(
            phase, [phase, "any"])
        return next((self.speeds[(*where, p)] for p in wanted if (*where, p) in self.speeds), None)

    def ratio(self, vocabulary, corpus, threads, phase, engine, to):
        mine = self.speed(vocabulary, corpus, engine, threads, phase)
        other = self.speed(vocabulary, corpus, to, threads, phase)
        return mine.mb / other.mb if mine and other else None

    def differ(self, vocabulary, engine, corpus):
        for row in self.data["differ"]:
            if (row["vocabulary"], row["engine"], row["corpus"]) == (vocabulary, engine, corpus):
                return row["titles"] and row["differing"] / row["titles"]
        return None

    def label(self, engine):
        version = self.data["versions"].get(engine)
        return f"{engine} {version}" if version else engine


def table(rows):
    widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
    for row in rows:
        yield "  ".join(cell.ljust(w) if i < 3 else cell.rjust(w)
                        for i, (cell, w) in enumerate(zip(row, widths))).rstrip()


def text_rows(results, vocabulary):
    yield ["corpus", "engine", "phase", "threads", "k titles/s", "MB/s", "slowest", "fastest",
           "M tokens/s", f"/ {RIVAL}", "/ hf", "differ"]
    for corpus in results.corpora:
        for engine in results.engines:
            for threads in results.threads:
                for phase in PHASES:
                    speed = results.speeds.get((vocabulary, corpus, engine, threads, phase))
                    if speed is None:
                        continue
                    ratios = [number(results.ratio(vocabulary, corpus, threads, phase, engine, to))
                              for to in (RIVAL, REFERENCE)]
                    path = speed.result.get("path")
                    label = f"{engine} {path}" if path else results.label(engine)
                    yield [corpus, label, phase, str(threads),
                           number(speed.titles), number(speed.mb), number(speed.slowest),
                           number(speed.fastest), number(speed.tokens), *ratios,
                           percent(results.differ(vocabulary, engine, corpus))]


def notes(data):
    yield NOTES


def header_lines(data):
    for key, value in data["header"].items():
        yield f"{key}: {value}"
    for corpus in data["corpora"]:
        yield (f"{corpus['name']}: {corpus['titles']:,} titles, {corpus['bytes']:,} bytes"
               if corpus["bytes"] else f"{corpus['name']}: {corpus['titles']:,} strings")
    yield from data["skipped"]


def text(data):
    results = Results(data)
    yield from header_lines(data)
    yield ""
    yield from notes(data)
    for vocabulary in results.vocabularies:
        yield f"\n{vocabulary}"
        yield from table(list(text_rows(results, vocabulary)))
        loads = {r["engine"]: r["load_ms"] for r in data["results"]
                 if r["vocabulary"] == vocabulary and r.get("load_ms") is not None}
        yield "loading, ms: " + ", ".join(f"{k} {v:,.0f}" for k, v in loads.items())
        golden = [f"{engine} {percent(results.differ(vocabulary, engine, 'golden'))}"
                  for engine in results.engines
                  if results.differ(vocabulary, engine, "golden") is not None]
        if golden:
            yield "golden strings that differ: " + ", ".join(golden)


def cell(speed, corpus):
    if speed is None:
        return ""
    short = [] if corpus.startswith("long") else [number(speed.titles)]
    return " · ".join([*short, number(speed.mb), number(speed.tokens)])


def best(results, vocabulary, engine, threads, corpus):
    speeds = [results.speeds.get((vocabulary, corpus, engine, threads, p)) for p in PHASES]
    return max((speed for speed in speeds if speed), key=lambda speed: speed.mb, default=None)


def markdown_rows(results, vocabulary, threads):
    """Three rows for the engines that forget by a call, one with their best for the others."""
    where = "" if threads == 1 else f", {threads} threads"
    for engine in results.engines:
        differ = ""
        if threads == results.threads[0]:
            shares = [results.differ(vocabulary, engine, c) for c in ("en", "ml", "golden")]
            differ = " / ".join(percent(share) or "–" for share in shares)
            differ = "the reference" if engine == REFERENCE else differ
        label = f"**{engine}**" if engine == OURS else results.label(engine)
        forgets = engine in results.data["forgets"]
        for phase in PHASES[:3] if forgets else [None]:
            speeds = [results.speeds.get((vocabulary, c, engine, threads, phase)) if phase else
                      best(results, vocabulary, engine, threads, c) for c in results.corpora]
            if any(speeds):
                yield [label, (phase or "best") + where,
                       *(cell(speed, c) for speed, c in zip(speeds, results.corpora)), differ]
                differ = ""
    for to in (RIVAL, REFERENCE):
        for phase in PHASES[:3]:
            ratios = [results.ratio(vocabulary, c, threads, phase, OURS, to)
                      for c in results.corpora]
            if any(ratios):
                yield [f"{OURS} / {to}", phase + where,
                       *(number(r) + " ×" if r else "" for r in ratios), ""]


def markdown(data):
    results = Results(data)
    units = {c: "MB/s · M tokens/s" if c.startswith("long") else
             "k titles/s · MB/s · M tokens/s" for c in results.corpora}
    heads = ["engine", "phase", *(f"{HEADS[c]}: {units[c]}" for c in results.corpora),
             "differ (English / languages / golden)"]
    yield " \n".join(f"{key}: {value}" for key, value in data["header"].items())
    spreads = sorted(speed.spread for speed in results.speeds.values())
    for vocabulary in results.vocabularies:
        yield f"\n{vocabulary}\n"
        yield "| " + " | ".join(heads) + " |"
        yield "|" + "---|" * len(heads)
        for threads in results.threads:
            for row in markdown_rows(results, vocabulary, threads):
                yield "| " + " | ".join(row) + " |"
    if spreads:
        yield (f"\nMedians of {data['repeats']} runs. Slowest minus fastest, over the median: "
               f"{spreads[len(spreads) // 2]:.0%} in the middle, {spreads[-1]:.0%} at most.")
    yield from notes(data)
    yield from ("\n" + line for line in data["skipped"])
