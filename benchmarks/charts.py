"""Bar charts as SVG, without scripts, fonts or anything else from outside."""

from collections.abc import Mapping, Sequence
from xml.sax.saxutils import escape

COLOURS = ("#2f7fd1", "#c98a00", "#3c9d5d", "#7c5cc4", "#d1495b", "#5b6b7b")
_LEFT, _WIDTH, _RIGHT = 300, 520, 140
_BAR, _GAP, _HEAD = 14, 10, 64


def bars(title: str, unit: str, rows: Mapping[str, Mapping[str, float]]) -> str:
    """Return horizontal bars in groups, each with its number behind it.

    Args:
        title: above the chart.
        unit: of all numbers.
        rows: by the name of the group, the number of each of its bars, by the bar's name.
    """
    names = list(dict.fromkeys(name for row in rows.values() for name in row))
    colours = dict(zip(names, COLOURS * (1 + len(names) // len(COLOURS)), strict=False))
    longest = max((value for row in rows.values() for value in row.values()), default=0.0) or 1.0
    height = _HEAD + sum(len(row) * _BAR + _GAP for row in rows.values()) + 8
    width = _LEFT + _WIDTH + _RIGHT
    size = f'width="{width}" height="{height}" viewBox="0 0 {width} {height}"'
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" {size} font-family="sans-serif" font-size="12">',
        f"<title>{escape(title)}</title>",
        '<rect width="100%" height="100%" fill="#fbfcfd"/>',
        f'<text x="16" y="24" font-size="15" font-weight="600">{escape(title)}</text>',
        *_legend(names, colours),
    ]
    y = _HEAD
    for group, row in rows.items():
        middle = y + len(row) * _BAR / 2 + 4
        label = f'x="{_LEFT - 10}" y="{middle:.0f}" text-anchor="end"'
        parts.append(f"<text {label}>{escape(group)}</text>")
        for name, value in row.items():
            parts += _bar(y, value / longest, colours[name], f"{value:,.3g} {unit}")
            y += _BAR
        y += _GAP
    return "\n".join([*parts, "</svg>", ""])


def _legend(names: Sequence[str], colours: Mapping[str, str]) -> list[str]:
    x, parts = 16.0, list[str]()
    for name in names if len(names) > 1 else ():
        parts.append(f'<rect x="{x:.0f}" y="38" width="12" height="12" fill="{colours[name]}"/>')
        parts.append(f'<text x="{x + 17:.0f}" y="48">{escape(name)}</text>')
        x += 34 + 7 * len(name)
    return parts


def _bar(y: float, share: float, colour: str, text: str) -> list[str]:
    width = max(1.0, share * _WIDTH)
    place = f'x="{_LEFT}" y="{y:.0f}" width="{width:.1f}" height="{_BAR - 3}"'
    return [
        f'<rect {place} fill="{colour}"/>',
        f'<text x="{_LEFT + width + 6:.1f}" y="{y + 10:.0f}" fill="#53616f">{escape(text)}</text>',
    ]
