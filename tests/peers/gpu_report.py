# SPDX-License-Identifier: Apache-2.0
"""The results of tests/peers/gpu_encoders.py as tables, and when logits are like others."""
import statistics

from encoder_report import header_lines, share, times
from report import number, table

TIERS = ["fp8", "bf16", "fp16", "fp32"]
# How like the reference's logits must be, each label's mean over the titles taken away, as a
# correlation: what is not computed right is not timed. Titles mixed up give about 0.
LIKE = {"fp32": 0.9999, "fp16": 0.99, "bf16": 0.95, "fp8": 0.6}
NOTES = """\
From titles to labels on one device. titles/s: from a list of str, tokenizing in it (Hugging Face's
tokenizers on all cores, the next 65,536 titles while those before are computed); tokens given: from
flat ids on the host. Loading and compiling are in neither. Batches are of titles sorted by length
and put together on the device; the batch size, in titles or, where nothing is padded, in tokens,
and the variant are the quickest of a search before. Medians, and beside them the slowest and the
quickest run. wader's is the time that more titles of a file add to the whole command, from the
file to a committed file of rows; `whole` has start-up and loading in it too. MB: most that PyTorch
had allocated on the device (on a CPU, of the process), of wader what it says it takes. like:
correlation of the logits with fp32's, without each label's mean; labels: as fp32's."""


def likeness(logits, wanted):
    """Correlation of two tables of logits, each label's mean over the titles taken away."""
    def centred(rows):
        means = [sum(column) / len(rows) for column in zip(*rows)]
        return [value - mean for row in rows for value, mean in zip(row, means)]
    a, b = centred(logits), centred(wanted)
    size = (sum(x * x for x in a) * sum(y * y for y in b)) ** 0.5
    return sum(x * y for x, y in zip(a, b, strict=True)) / size if size > 0 else 0.0


def is_like(tier, value):
    return value >= LIKE.get(tier, 0.95)  # not where it is no number


class GpuSpeed:
    def __init__(self, data, row):
        self.row, self.tier = row, row["tier"]
        self.rate = statistics.median(row["rates"])
        self.given = statistics.median(row["rates_given"]) if row["rates_given"] else None
        self.tokens = self.rate * data["titles"]["tokens"]
        self.check = row["variants"][row["variant"]]

    def how(self):
        words = [self.row["variant"]] if self.row["variant"] else []
        if self.row["batch"]:
            words.append(f"{self.row['batch']} {'tokens' if self.row['by_tokens'] else 'titles'}")
        if self.row.get("rates_whole"):
            words.append(f"whole {number(statistics.median(self.row['rates_whole']))}")
        return ", ".join(words)


def speeds_of(data):
    """Those that were timed, the quickest of each tier first."""
    found = [GpuSpeed(data, row) for row in data["speeds"] if row["rates"]]
    return sorted(found, key=lambda speed: (TIERS.index(speed.tier), -speed.rate))


def ours(speeds):
    """wader's rate in each tier."""
    return {speed.tier: speed.rate for speed in speeds if speed.row["name"] == "wader"}


def ratio(speed, rates):
    if speed.row["name"] == "wader" or speed.tier not in rates:
        return ""
    return times(rates[speed.tier] / speed.rate)


def megabytes(nbytes):
    return f"{nbytes / 1e6:,.0f}" if nbytes else ""


def check_rows(data):
    yield ["engine", "variant", "like", "labels", "apart / largest"]
    for row in data["speeds"]:
        for variant, found in row["variants"].items():
            if isinstance(found, str):
                yield [row["engine"], variant, found, "", ""]
            else:
                yield [row["engine"], variant, f"{found['likeness']:.4f}",
                       f"{found['same']} of {found['n']}", f"{found['apart'] / found['scale']:.1e}"]


def speed_rows(data):
    speeds = speeds_of(data)
    rates = ours(speeds)
    yield ["tier", "engine", "how", "titles/s", "slowest–quickest", "tokens/s", "tokens given",
           "wader / it", "labels", "MB"]
    for speed in speeds:
        row = speed.row
        yield [speed.tier, row["name"], speed.how(), number(speed.rate),
               f"{number(min(row['rates']))}–{number(max(row['rates']))}", number(speed.tokens),
               number(speed.given), ratio(speed, rates), share(row["same"] / row["n_same"]),
               megabytes(row["peak_bytes"])]


def text(data):
    yield from header_lines(data)
    yield f"reference: {data['reference']}"
    yield "\nLogits beside the reference's; what is not like them is not timed"
    yield from table(list(check_rows(data)))
    yield ""
    yield NOTES
    yield ""
    yield from table(list(speed_rows(data)))


def markdown(data):
    yield "  \n".join(header_lines(data)) + "\n"
    rows = list(speed_rows(data))
    yield "| " + " | ".join(rows[0]) + " |"
    yield "|" + "---|" * len(rows[0])
    for row in rows[1:]:
        bold = "**" if row[1] == "wader" else ""
        yield "| " + " | ".join([row[0], bold + row[1] + bold, *row[2:]]) + " |"
    yield "\n" + NOTES
