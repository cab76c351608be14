"""A bar chart of speedups on a logarithmic scale, as SVG."""

from __future__ import annotations

import math
from xml.sax.saxutils import escape

__all__ = ["chart"]

_WIDTH, _LEFT, _RIGHT = 760, 330, 80
_ROW, _BAR, _TOP = 30, 16, 44
# Colors for light and dark backgrounds, whichever the surrounding page has.
_STYLE = """
text { font: 13px system-ui, sans-serif; fill: #24292f }
.title { font-weight: 600 }
.scale { font-size: 11px; fill: #57606a }
.line { stroke: #d0d7de }
.bar { fill: #1f6feb }
@media (prefers-color-scheme: dark) {
text { fill: #e6edf3 }
.scale { fill: #9198a1 }
.line { stroke: #3d444d }
.bar { fill: #4493f8 }
}
"""


def chart(title: str, bars: list[tuple[str, float]]) -> str:
    """Draw a bar for each speedup.

    Parameters
    ----------
    title : str
        The title above the bars.
    bars : list of (str, float)
        The label and the speedup, which is at least 1.
    """
    decades = max(math.ceil(math.log10(max(times for _, times in bars))), 1)
    height = _TOP + _ROW * len(bars) + 24
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {height}" '
        f'width="{_WIDTH}" height="{height}" role="img">',
        f"<title>{escape(title)}</title>",
        f"<style>{_STYLE}</style>",
        f'<text class="title" x="12" y="22">{escape(title)}</text>',
    ]
    for decade in range(decades + 1):
        x = _x(10.0**decade, decades)
        parts.append(
            f'<line class="line" x1="{x:.1f}" y1="{_TOP - 8}" x2="{x:.1f}" y2="{height - 22}"/>'
            f'<text class="scale" x="{x:.1f}" y="{height - 8}" text-anchor="middle">'
            f"{10**decade:,}</text>"
        )
    for number, (name, times) in enumerate(bars):
        y, end = _TOP + _ROW * number, _x(max(times, 1.0), decades)
        parts.append(
            f'<text x="{_LEFT - 10}" y="{y + 13}" text-anchor="end">{escape(name)}</text>'
            f'<rect class="bar" x="{_LEFT}" y="{y}" width="{max(end - _LEFT, 1):.1f}" '
            f'height="{_BAR}" rx="2"/>'
            f'<text x="{end + 8:.1f}" y="{y + 13}">{times:,.0f} x</text>'
        )
    return "\n".join([*parts, "</svg>", ""])


def _x(times: float, decades: int) -> float:
    return _LEFT + math.log10(times) / decades * (_WIDTH - _LEFT - _RIGHT)
