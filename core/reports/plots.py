"""The common style of figures, and figures as SVG or PNG that are the same bytes each time."""

from __future__ import annotations

import io
from collections.abc import Iterator
from contextlib import contextmanager

import matplotlib
from cycler import cycler
from markupsafe import Markup, escape
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

ACCENT, SECOND, SOFT = "#0b8080", "#d9822b", "#7b878d"
_STYLE = {
    "axes.edgecolor": SOFT,
    "axes.grid": True,
    "axes.labelcolor": SOFT,
    "axes.linewidth": 0.8,
    "axes.prop_cycle": cycler(color=[ACCENT, SECOND, "#5b6bb5", "#a3497f", SOFT]),
    "axes.spines.right": False,
    "axes.spines.top": False,
    "axes.titlelocation": "left",
    "axes.titlesize": 11,
    "figure.facecolor": "none",
    "axes.facecolor": "none",
    "savefig.facecolor": "none",
    "font.family": "sans-serif",
    "font.sans-serif": ["DejaVu Sans"],
    "font.size": 10,
    "grid.alpha": 0.25,
    "grid.color": SOFT,
    "grid.linewidth": 0.8,
    "legend.frameon": False,
    "legend.labelcolor": SOFT,
    "lines.linewidth": 2.0,
    "svg.fonttype": "path",
    "svg.hashsalt": "triptych",
    "text.color": SOFT,
    "xtick.color": SOFT,
    "ytick.color": SOFT,
}


@contextmanager
def figure(width: float = 7.0, height: float = 4.0) -> Iterator[Figure]:
    """Give an empty figure (inches) in the common style; draw and convert it inside the `with` block.

    The style is readable on light and dark paper alike, and no window system is needed.
    """
    with matplotlib.rc_context(_STYLE):
        made = Figure(figsize=(width, height), layout="constrained")
        FigureCanvasAgg(made)
        yield made


def to_svg(made: Figure, alt: str) -> Markup:
    """Return a figure as inline SVG with `alt` as its description; the same figure gives the same text."""
    stream = io.StringIO()
    with matplotlib.rc_context(_STYLE):
        made.savefig(stream, format="svg", metadata={"Date": None, "Creator": None})
    text = stream.getvalue()
    text = text[text.index("<svg") :]
    return Markup(text.replace("<svg", f'<svg role="img" aria-label="{escape(alt)}"', 1))


def to_png(made: Figure, dpi: int = 144) -> bytes:
    """Return a figure as PNG on white paper, without a date."""
    stream = io.BytesIO()
    with matplotlib.rc_context(_STYLE):
        made.savefig(stream, format="png", dpi=dpi, facecolor="white", metadata={"Software": None})
    return stream.getvalue()
