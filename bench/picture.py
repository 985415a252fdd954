# SPDX-License-Identifier: MIT
"""The table of bench/compare as bars: one panel per column, one group per workload, one bar per allocator."""

from collections import namedtuple
from xml.sax.saxutils import escape

COLOURS = ("#4878a8", "#d9822b", "#5a9e54", "#a0569b", "#8c6d5a", "#777777", "#c43c39", "#3fa7a0", "#b0a032")
TITLES = {"time": "time", "peak": "peak RSS", "idle": "RSS after idling"}
BAR, GAP, LABELS, PANEL, TOP, LIMIT = 9, 8, 80, 270, 60, 2.0


class Bar(namedtuple("Bar", "median spread")):
    """A ratio as bench/compare writes it to --json."""

    def noisy(self):
        return abs(self.median - 1) < self.spread


def text(x, y, words, extra=""):
    return f'<text x="{x:.1f}" y="{y:.1f}" {extra}>{escape(words)}</text>'


def bar(x, y, ratio, colour):
    """A bar as long as the ratio; what is longer than the panel is cut off and shows its number."""
    shown = min(ratio.median, LIMIT)
    parts = [f'<rect x="{x}" y="{y}" width="{shown * PANEL / LIMIT:.1f}" height="{BAR - 1}" fill="{colour}" '
             f'fill-opacity="{0.5 if ratio.noisy() else 1}"/>']
    if ratio.median > LIMIT:
        parts.append(text(x + PANEL - 4, y + BAR - 1.5, f"{ratio.median:.1f}", 'text-anchor="end" fill="white"'))
    return parts


def panel(x, column, tables, height):
    names = list(next(iter(tables.values())))
    group = BAR * len(tables) + GAP
    out = [text(x, TOP - 12, TITLES[column], 'font-weight="bold"')]
    for row, name in enumerate(names):
        for index, table in enumerate(tables.values()):
            ratio = table[name][column]
            if ratio.median is not None:
                out += bar(x, TOP + row * group + index * BAR, ratio, COLOURS[index % len(COLOURS)])
    one = x + PANEL / LIMIT
    out.append(f'<line x1="{one}" y1="{TOP - 6}" x2="{one}" y2="{height - 10}" stroke="black" stroke-dasharray="3 2"/>')
    return out


def svg(tables, columns):
    names = list(next(iter(tables.values())))
    rows = [row for table in tables.values() for row in table.values()]
    columns = [column for column in columns if any(row[column].median is not None for row in rows)]
    group = BAR * len(tables) + GAP
    height = TOP + group * len(names) + 10
    width = LABELS + len(columns) * (PANEL + 20)
    out = [f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{height}" font-family="sans-serif" '
           'font-size="10">', f'<rect width="{width}" height="{height}" fill="white"/>',
           text(8, 16, "Ratios to glibc (dashed: 1.0); shorter is better; pale: less than the noise", 'font-size="12"')]
    for index, name in enumerate(tables):
        x = LABELS + index * 110
        out.append(f'<rect x="{x}" y="24" width="10" height="10" fill="{COLOURS[index % len(COLOURS)]}"/>')
        out.append(text(x + 14, 33, name))
    for row, name in enumerate(names):
        out.append(text(LABELS - 6, TOP + row * group + group / 2, name, 'text-anchor="end"'))
    for index, column in enumerate(columns):
        out += panel(LABELS + index * (PANEL + 20), column, tables, height)
    return "\n".join(out) + "\n</svg>\n"


def write(path, tables, columns):
    if tables:
        with open(path, "w", encoding="utf-8") as file:
            file.write(svg(tables, columns))
