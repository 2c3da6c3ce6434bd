"""Panels: a picture, some controls under the hand, maybe a player. Each panel is a pure function `draw(**state) -> Figure`.

Conventions
- The state is a plain dict of control values. Print it, put it into a report, give it back with `panel.set(**state)`.
- A move makes exactly one new picture, in a box of fixed height, and leaves no figure open. Sliders report when let go.
- An error in a callback stands in the panel in one line and is raised too: a notebook cell or a test that sets
  `slider.value` fails as it should. In the browser nobody would see it otherwise.
- Whatever is slow is computed before the panel is made, or once per setting, never once per move.
- Every picture carries alt text. A panel that nobody can move (GitHub, nbviewer, print) shows its first picture instead.
"""

import base64
import contextlib
import html
import io

import ipywidgets
import matplotlib.pyplot as plt
import numpy as np
from IPython import get_ipython
from IPython.display import HTML, display
from matplotlib.figure import Figure
from PIL import Image  # comes with matplotlib

DPI = 100


class Picture:
    """A figure turned into PNG bytes with alt text, and closed. Shows itself in a notebook, prints as its alt text.

    256 colours: a spectrogram then weighs 0.1 MB in the notebook instead of 0.5, and looks the same.
    """

    def __init__(self, figure, alt, dpi=DPI):
        full, small = io.BytesIO(), io.BytesIO()
        figure.savefig(full, format="png", dpi=dpi, pil_kwargs={"compress_level": 1})
        plt.close(figure)
        Image.open(full).convert("RGB").quantize(
            256, Image.Quantize.FASTOCTREE, dither=Image.Dither.NONE
        ).save(small, "png")
        self.png, self.alt = small.getvalue(), " ".join(alt.split())

    def __repr__(self):
        return self.alt

    def _repr_mimebundle_(self, include=None, exclude=None):
        data = {"image/png": base64.b64encode(self.png).decode(), "text/plain": self.alt}
        return data, {"image/png": {"alt": self.alt}}

    def html(self, height_px):
        source = base64.b64encode(self.png).decode()
        fit = f"height:{height_px}px; max-width:100%; object-fit:contain; object-position:left top"
        return f'<img src="data:image/png;base64,{source}" alt="{html.escape(self.alt)}" style="{fit}">'


def show(picture, *, alt, dpi=DPI):
    """Display a figure, or the figure of some Axes, as PNG with alt text (say what a reader should see), and close it.

    Few programs read the alt text in a picture's metadata (nbconvert's classic template does, JupyterLab 4.6 does not). So it
    follows once more as text for screen readers, which takes no room; where styles are stripped it is a caption.
    dpi: fewer make a smaller file, where a notebook holds many noisy pictures.
    """
    display(Picture(_figure_of(picture), alt, dpi))
    if get_ipython() is not None:
        display(
            HTML(
                f'<p style="position:absolute; width:1px; height:1px; overflow:hidden">{html.escape(alt)}</p>'
            )
        )


def _figure_of(drawn):
    figure = drawn if isinstance(drawn, Figure) else getattr(drawn, "figure", None)
    if not isinstance(figure, Figure):
        raise TypeError(
            f"draw must return a matplotlib Figure or Axes, got {type(drawn).__name__}; end it with `return ax`"
        )
    return figure


def _titles(figure):
    """What the figure says about itself: the default alt text."""
    titles = [figure.get_suptitle(), *(ax.get_title() for ax in figure.axes)]
    text = "; ".join(title for title in titles if title) or "Picture"
    return text.translate(dict.fromkeys(map(ord, "$\\{}")))  # formulas without their TeX


class Panel:
    """Controls, one picture of fixed height, and optionally sound. Put it last in a cell, and it shows itself.

    draw(**state): returns a Figure (or Axes). controls: {name: ipywidget with a value}, in the order shown. height_px: of
    the picture. alt(**state): its alt text; without it the figure's titles and the state. sound(**state): HTML such as
    `sonify.player(...)`, shown below.
    Attributes: ui, the widget; controls; state; picture, the current `Picture`.
    """

    def __init__(self, draw, controls, *, height_px=440, alt=None, sound=None):
        self.controls, self.height_px, self.picture = dict(controls), height_px, None
        self._drawn = None  # the state of the picture
        self._draw, self._alt, self._sound, self._held = draw, alt, sound, False
        self._screen, self._player = ipywidgets.HTML(), ipywidgets.HTML()
        for name, control in self.controls.items():
            control.description = control.description or name.replace("_", " ")
        longest = max((len(control.description) for control in self.controls.values()), default=0)
        for control in self.controls.values():
            if hasattr(control, "continuous_update"):
                control.continuous_update = False
            if hasattr(control, "style") and hasattr(control.style, "description_width"):
                control.style.description_width = f"{0.55 * longest + 0.5:.1f}em"
            control.layout.width = control.layout.width or "26em"
            control.observe(self._moved, names="value")
        row = ipywidgets.Layout(display="flex", flex_flow="row wrap", grid_gap="0 1em")
        self._screen.layout.height = f"{height_px + 10}px"
        boxes = [ipywidgets.Box(list(self.controls.values()), layout=row), self._screen]
        self.ui = ipywidgets.VBox(boxes + [self._player] * (sound is not None)).add_class(
            "melodylab-panel"
        )
        self._update()

    @property
    def state(self):
        """{name: value} of all controls, plain numbers and texts."""
        return {name: _plain(control.value) for name, control in self.controls.items()}

    def set(self, **state):
        """Move controls, in their own order, and redraw once; ValueError, before that, for what a control cannot take."""
        unknown = set(state) - set(self.controls)
        if unknown:
            raise ValueError(
                f"this panel has no {', '.join(sorted(unknown))}; it has {', '.join(self.controls)}"
            )
        before = self.state
        self._held = True  # one picture for all moves together
        try:
            for name in filter(
                state.__contains__, self.controls
            ):  # what one takes may depend on those before it
                value = state[name]
                with contextlib.suppress(
                    Exception
                ):  # each control refuses in its own way, or clips: compare instead
                    self.controls[name].value = value
                if self.state[name] != _plain(value):
                    for old, control in zip(before.values(), self.controls.values(), strict=True):
                        control.value = old
                    raise ValueError(
                        f"{name} cannot be {value!r}; look at panel.controls[{name!r}] for its range"
                    )
        finally:
            self._held = False
        self._update()

    def draw(self, **state):
        """The Figure for a state, the current one where nothing is said; moves nothing."""
        return _figure_of(self._draw(**self.state | state))

    def _moved(self, _change):
        if (
            not self._held and self.state != self._drawn
        ):  # one move may shift another control, and both report
            self._update()

    def _update(self):
        state, open_before = self.state, plt.get_fignums()
        self._drawn = state
        try:
            figure = self.draw()
            alt = self._alt(**state) if self._alt else f"{_titles(figure)}. {_words(state)}"
            picture = Picture(figure, alt)
            player = self._sound(**state) if self._sound else ""
        except Exception as error:
            text = f"This picture failed with {_words(state)}: {type(error).__name__}: {' '.join(str(error).split())}"
            self._screen.value = f'<p role="alert" style="color:#b00020">⚠ {html.escape(text)}</p>'
            self._player.value = ""
            raise
        finally:
            for number in set(plt.get_fignums()) - set(open_before):
                plt.close(number)
        self.picture = picture
        self._screen.value = picture.html(self.height_px)
        self._player.value = getattr(player, "data", player)

    def __repr__(self):
        return f"Panel({_words(self.state)})"

    def _repr_mimebundle_(self, include=None, exclude=None):
        data, metadata = self.picture._repr_mimebundle_()
        live = self.ui._repr_mimebundle_() or {}
        return data | live | {"text/plain": repr(self)}, metadata


def _plain(value):
    value = value.item() if isinstance(value, np.generic) else value
    return (
        float(f"{value:.10g}") if isinstance(value, float) else value
    )  # 0.30000000000000004 is a slider's 0.3


def _words(state):
    return ", ".join(f"{name}={value!r}" for name, value in state.items())
