# SPDX-License-Identifier: Apache-2.0
"""The picture of scale.py: how long it takes by number of GPUs, beside GPUs that lose nothing, and
what becomes of the time for which they are held."""
import html
import math

import scale_model

WIDTH, LEFT, RIGHT, TOP, HEIGHT = 760, 70, 20, 64, 240
BARS_TOP, BARS_HEIGHT = TOP + HEIGHT + 70, 150
LEGEND_TOP = BARS_TOP + BARS_HEIGHT + 40
COLORS = ("#2f6f4f", "#b5473c", "#d08c2c", "#c9b458", "#6a4c93", "#4a7fb0")


def text(x, y, words, anchor="middle", size=12):
    return '<text x="%.1f" y="%.1f" text-anchor="%s" font-size="%d">%s</text>' % (
        x, y, anchor, size, html.escape(words))


def line(points, style):
    return '<polyline fill="none" %s points="%s"/>' % (
        style, " ".join("%.1f,%.1f" % p for p in points))


def short(seconds):
    for limit, unit, name in ((120, 1, "s"), (7200, 60, "min"), (2 * 86400, 3600, "h")):
        if seconds < limit:
            return "%.3g %s" % (seconds / unit, name)
    return "%.3g days" % (seconds / 86400)


def times(sizes, xs):
    """Log against log: the whole, its part that is labelling, and the ideal."""
    ideal = [s.setting.titles / s.setting.rate / s.setting.gpus for s in sizes]
    whole = [s.label + s.merge for s in sizes]
    low, high = min(ideal + [s.label for s in sizes]), max(whole)
    first, last = math.floor(math.log10(low)), math.ceil(math.log10(high) + 1e-9)

    def y(seconds):
        return TOP + HEIGHT * (last - math.log10(seconds)) / max(last - first, 1)
    out = []
    for power in range(first, last + 1):
        at = y(10.0 ** power)
        out.append('<line x1="%d" x2="%d" y1="%.1f" y2="%.1f" stroke="#ddd"/>' % (
            LEFT, WIDTH - RIGHT, at, at))
        out.append(text(LEFT - 8, at + 4, short(10.0 ** power), "end"))
    out.append(line(list(zip(xs, map(y, ideal))), 'stroke="#999" stroke-dasharray="5 4"'))
    out.append(line([(x, y(s.label)) for x, s in zip(xs, sizes)], 'stroke="#4a7fb0"'))
    out.append(line(list(zip(xs, map(y, whole))), 'stroke="#2f6f4f" stroke-width="2.5"'))
    for x, s, seconds in zip(xs, sizes, whole):
        out.append('<circle cx="%.1f" cy="%.1f" r="3" fill="#2f6f4f"/>' % (x, y(seconds)))
        out.append(text(x, y(seconds) - 8, short(seconds), size=11))
        out.append(text(x, TOP + HEIGHT + 18, str(s.setting.gpus)))
    return out


def shares(sizes, xs):
    """Of the GPUs' time: what labels titles, below, and what is lost, above it."""
    out, wide = [], min(46.0, 0.7 * (WIDTH - LEFT - RIGHT) / len(sizes))
    for x, size in zip(xs, sizes):
        at = float(BARS_TOP + BARS_HEIGHT)
        for share, color in zip([size.useful, *size.losses.values()], COLORS):
            high = BARS_HEIGHT * share
            at -= high
            out.append('<rect x="%.1f" y="%.2f" width="%.1f" height="%.2f" fill="%s"/>' % (
                x - wide / 2, at, wide, high, color))
        out.append(text(x, BARS_TOP + BARS_HEIGHT + 16, "%.0f %%" % (100 * size.useful), size=11))
    return out


def draw(sizes, device, titles):
    step = (WIDTH - LEFT - RIGHT) / len(sizes)
    xs = [LEFT + step * (i + 0.5) for i in range(len(sizes))]
    names = ["labelling", *scale_model.LOSSES]
    legend = []
    for i, (name, color) in enumerate(zip(names, COLORS)):
        x, y = LEFT + 230 * (i % 3), LEGEND_TOP + 22 * (i // 3)
        legend.append('<rect x="%d" y="%d" width="12" height="12" fill="%s"/>' % (x, y, color))
        legend.append(text(x + 18, y + 11, name, "start"))
    head = "%s titles on %ss. Modelled, not measured" % (titles, device)
    body = [text(LEFT, 22, head, "start", 16),
            text(LEFT, 44, "time with verifying (green), labelling alone (blue), and %ss that lose "
                 "nothing (dashed), by their number" % device, "start"),
            *times(sizes, xs),
            text(LEFT, BARS_TOP - 12, "what becomes of the %ss' time" % device, "start"),
            *shares(sizes, xs), *legend]
    height = LEGEND_TOP + 50
    return ('<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 %d %d" width="%d" height="%d" '
            'font-family="sans-serif" role="img"><title>%s</title>\n'
            '<rect width="100%%" height="100%%" fill="#fff"/>\n%s\n</svg>\n' % (
                WIDTH, height, WIDTH, height, html.escape(head), "\n".join(body)))
