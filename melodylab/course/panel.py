"""Panels: a picture, some controls under the hand, maybe a player.

Each panel is a pure function `draw(**state) -> Figure`. Conventions:

- The state is a plain dict of control values. Print it, put it into a report, give it back with
  `panel.set(**state)`.
- A move makes exactly one new picture, in a box of fixed height, and leaves no figure open.
  Sliders report when let go.
- An error in a callback stands in the panel in one line and is raised too: a notebook cell or a
  test that sets `slider.value` fails as it should. In the browser nobody would see it otherwise.
- Whatever is slow is computed before the panel is made, or once per setting, never once per move.
- Every picture carries alt text, has no ground of its own and reads on light and dark pages.
- What a notebook stores of a panel is its picture. It hides while the panel is live, and stands
  again where nobody can move it: the next day, on GitHub and nbviewer, in print.
- A panel is at most 600 pixels high on a page 1280 wide, so that it fits a projector.
"""

import base64
import contextlib
import html
import io
from collections.abc import Callable, Mapping

import ipywidgets
import matplotlib.pyplot as plt
import numpy as np
from IPython import get_ipython
from IPython.display import HTML, display
from matplotlib import colors
from matplotlib.axes import Axes
from matplotlib.collections import QuadMesh
from matplotlib.figure import Figure
from PIL import Image  # comes with matplotlib

DPI = 100
WIDGET_VIEW = "application/vnd.jupyter.widget-view+json"
ASLEEP = "Only the picture of a panel: run this cell (Shift+Enter) to move it."
_EITHER = "#757575"  # 4.6 to 1 on white, 4.1 to 1 on JupyterLab's darkest
_FOR_THE_EAR = "position:absolute; width:1px; height:1px; overflow:hidden"
# a view without its model says "model not found" and nothing else; the picture above it says more
_NO_EMPTY_VIEW = (
    "<style>.jp-OutputArea-child:has(.melodylab-still) + .jp-OutputArea-child "
    "> .jp-OutputArea-output:not(:has(*)) {display: none}</style>"
)
# ipywidgets label a slider beside its handle; a screen reader asks the handle itself
_NAME_SLIDERS = """
const find = tries => {
  const panel = this.closest('.melodylab-panel');
  if (!panel) { if (tries) setTimeout(find, 100, tries - 1); return; }
  const name = () => panel.querySelectorAll('[role=slider]').forEach(handle => {
    const label = handle.closest('.widget-inline-hbox')?.querySelector('.widget-label');
    if (label) handle.setAttribute('aria-label', label.textContent);
  });
  name();
  new MutationObserver(name).observe(panel, {childList: true, subtree: true});
};
find(50);
"""


class Picture:
    """A figure turned into PNG bytes with alt text, and closed.

    It shows itself in a notebook, and prints as its alt text. 256 colours: a spectrogram then
    weighs 0.1 MB in the notebook instead of 0.5, and looks the same.

    Parameters
    ----------
    figure : Figure
        Is closed. Its ground becomes transparent, its dark lines and words grey.
    alt : str
        What a reader should see, in words.
    dpi : float
        Pixels per inch.

    Attributes
    ----------
    png : bytes
        The picture as a PNG file.
    alt : str
        Its alt text, on one line.
    """

    def __init__(self, figure: Figure, alt: str, dpi: float = DPI):
        full, small = io.BytesIO(), io.BytesIO()
        _ground_away(figure)
        figure.savefig(full, format="png", dpi=dpi, pil_kwargs={"compress_level": 1})
        plt.close(figure)
        Image.open(full).convert("RGBA").quantize(
            256, Image.Quantize.FASTOCTREE, dither=Image.Dither.NONE
        ).save(small, "png")
        self.png, self.alt = small.getvalue(), " ".join(alt.split())

    def __repr__(self):
        return self.alt

    def _repr_mimebundle_(self, include=None, exclude=None):
        data = {"image/png": base64.b64encode(self.png).decode(), "text/plain": self.alt}
        return data, {"image/png": {"alt": self.alt}}

    def html(self, height_px: int) -> str:
        """The picture as an HTML element that holds it.

        Parameters
        ----------
        height_px : int
            Height on the page; less where the page is too narrow.

        Returns
        -------
        str
        """
        source = base64.b64encode(self.png).decode()
        fit = f"height:{height_px}px; max-width:100%; object-fit:contain; object-position:left top"
        alt = html.escape(self.alt)
        return f'<img src="data:image/png;base64,{source}" alt="{alt}" style="{fit}">'


def show(picture: Figure | Axes, *, alt: str, dpi: float = DPI) -> None:
    """Display a figure, or the figure of some Axes, as PNG with alt text, and close it.

    Few programs read the alt text in a picture's metadata (nbconvert's classic template does,
    JupyterLab 4.6 does not). So it follows once more as text for screen readers, which takes no
    room; where styles are stripped it is a caption.

    Parameters
    ----------
    picture : Figure or Axes
        What to show; its figure is closed.
    alt : str
        What a reader should see, in words.
    dpi : float
        Pixels per inch. Fewer make a smaller file, where a notebook holds many noisy pictures.
    """
    display(Picture(_figure_of(picture), alt, dpi))
    if get_ipython() is not None:
        display(HTML(f'<p style="{_FOR_THE_EAR}">{html.escape(alt)}</p>'))


def _figure_of(drawn):
    figure = drawn if isinstance(drawn, Figure) else getattr(drawn, "figure", None)
    if not isinstance(figure, Figure):
        raise TypeError(
            f"draw must return a matplotlib Figure or Axes, got {type(drawn).__name__}; "
            "end it with `return ax`"
        )
    return figure


def _titles(figure):
    """What the figure says about itself: the default alt text."""
    titles = [figure.get_suptitle()]
    titles += [ax.get_title(side) for ax in figure.axes for side in ("center", "left")]
    text = "; ".join(title for title in titles if title) or "Picture"
    return text.translate(dict.fromkeys(map(ord, "$\\{}")))  # formulas without their TeX


# --- light and dark pages -------------------------------------------------------------------------


def _ground_away(figure):
    """No white behind the drawing, and what is dark on it in a grey that reads on any page."""
    figure.patch.set_alpha(0)
    words = [*figure.texts, *filter(None, [figure._suptitle])]
    for ax in figure.axes:
        axes = [ax.xaxis, ax.yaxis]
        words += [ax.title, ax._left_title, ax._right_title, *(axis.label for axis in axes)]
        words += [axis.get_offset_text() for axis in axes]
        for axis in axes:
            for which in ("major", "minor"):
                axis.set_tick_params(which=which, color=_EITHER)
            if _is_dark(axis.get_tick_params().get("labelcolor", "black")):
                axis.set_tick_params(which="both", labelcolor=_EITHER)
        drawn = [*ax.spines.values()]
        if not ax.get_images():
            ax.patch.set_alpha(0)
            meshes = [part for part in ax.collections if isinstance(part, QuadMesh)]
            drawn += [part for part in ax.collections if part not in meshes]
            drawn += [*ax.lines, *ax.patches]
            words += [t for t in ax.texts if t.get_bbox_patch() is None and not meshes]
            _see_through(ax.get_legend(), words)
        for artist in drawn:
            _lighten(artist)
    for legend in figure.legends:
        _see_through(legend, words)
    for text in words:
        if _is_dark(text.get_color()):
            text.set_color(_EITHER)


def _see_through(legend, words):
    if legend is not None and not _is_dark(legend.get_frame().get_facecolor()):
        legend.get_frame().set_alpha(0)
        words += legend.get_texts()
        for handle in legend.legend_handles:
            _lighten(handle)


def _lighten(artist):
    """What is black or nearly so turns grey."""
    for name in ("color", "edgecolor", "facecolor", "markeredgecolor", "markerfacecolor"):
        get, put = (getattr(artist, f"{verb}_{name}", None) for verb in ("get", "set"))
        if get is None or put is None or (name == "color" and hasattr(artist, "get_facecolor")):
            continue
        found = get()
        if isinstance(found, str) and found == "auto":
            continue
        many = colors.to_rgba_array(found)
        dark = [_is_dark(colour) for colour in many]
        if len(many) and all(dark):
            put(_EITHER)


def _is_dark(colour):
    """Whether a colour that can be seen at all would be lost on a dark page."""
    red, green, blue, alpha = colors.to_rgba(colour)
    return (
        alpha > 0
        and 0.2126 * red + 0.7152 * green + 0.0722 * blue < 0.25
        and (max(red, green, blue) - min(red, green, blue) < 0.1)
    )


# --- the panel ------------------------------------------------------------------------------------


class Panel:
    """Controls, one picture of fixed height, and optionally sound. Put it last in a cell.

    Parameters
    ----------
    draw : callable
        `draw(**state)` returns a Figure (or Axes).
    controls : mapping of str to ipywidget
        Name: a widget with a value, in the order shown.
    height_px : int
        Of the picture, in pixels.
    alt : callable, optional
        `alt(**state)`: its alt text; without it the figure's titles and the state.
    sound : callable, optional
        `sound(**state)`: HTML such as `sonify.player(...)`, shown below.

    Attributes
    ----------
    ui : ipywidgets.VBox
        The widget.
    controls : dict
        As given.
    state : dict
        Name: value of all controls.
    picture : Picture
        The current one.
    """

    def __init__(
        self,
        draw: Callable[..., Figure | Axes],
        controls: Mapping[str, ipywidgets.Widget],
        *,
        height_px: int = 440,
        alt: Callable[..., str] | None = None,
        sound: Callable[..., object] | None = None,
    ):
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
        boxes += [self._player] * (sound is not None)
        self.ui = ipywidgets.VBox().add_class("melodylab-panel")
        awake = ipywidgets.HTML(
            f'<style onload="{html.escape(_NAME_SLIDERS)}">'
            f".still-{self.ui.model_id} {{display: none}}</style>",
            layout=ipywidgets.Layout(display="none"),
        )
        self.ui.children = [*boxes, awake]
        self._update()

    @property
    def state(self) -> dict:
        """{name: value} of all controls, plain numbers and texts."""
        return {name: _plain(control.value) for name, control in self.controls.items()}

    def set(self, **state: object) -> None:
        """Move controls, in their own order, and redraw once.

        Parameters
        ----------
        **state
            Name of a control = its value.

        Raises
        ------
        ValueError
            For what a control cannot take, before anything is drawn; nothing has moved then.
        """
        unknown = set(state) - set(self.controls)
        if unknown:
            raise ValueError(
                f"this panel has no {', '.join(sorted(unknown))}; it has {', '.join(self.controls)}"
            )
        before = self.state
        self._held = True  # one picture for all moves together
        try:  # what one takes may depend on those before it
            for name in filter(state.__contains__, self.controls):
                value = state[name]
                # each control refuses in its own way, or clips: compare instead
                with contextlib.suppress(Exception):
                    self.controls[name].value = value
                if self.state[name] != _plain(value):
                    for old, control in zip(before.values(), self.controls.values(), strict=True):
                        control.value = old
                    raise ValueError(
                        f"{name} cannot be {value!r}; "
                        f"look at panel.controls[{name!r}] for its range"
                    )
        finally:
            self._held = False
        self._update()

    def draw(self, **state: object) -> Figure:
        """The Figure for a state, the current one where nothing is said; moves nothing.

        Parameters
        ----------
        **state
            Name of a control = its value.

        Returns
        -------
        Figure
            The caller's, to close.
        """
        return _figure_of(self._draw(**self.state | state))

    def _moved(self, _change):
        # one move may shift another control, and both report
        if not self._held and self.state != self._drawn:
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
            told = f"{type(error).__name__}: {' '.join(str(error).split())}"
            text = html.escape(f"This picture failed with {_words(state)}: {told}")
            self._screen.value = f'<p role="alert" style="color:#d03030">⚠ {text}</p>'
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

    def _ipython_display_(self):
        """The picture first, for whoever cannot move it; then the panel, which hides it."""
        data, metadata = self.picture._repr_mimebundle_()
        still = f"{_NO_EMPTY_VIEW}{self.picture.html(self.height_px)}<p>{ASLEEP}</p>"
        page = f'<div class="melodylab-still still-{self.ui.model_id}">{still}</div>'
        display(data | {"text/html": page, "text/plain": repr(self)}, metadata=metadata, raw=True)
        live = self.ui._repr_mimebundle_() or {}
        if WIDGET_VIEW in live and get_ipython() is not None:
            display({WIDGET_VIEW: live[WIDGET_VIEW]}, raw=True)


def _plain(value):
    value = value.item() if isinstance(value, np.generic) else value
    # 0.30000000000000004 is a slider's 0.3
    return float(f"{value:.10g}") if isinstance(value, float) else value


def _words(state):
    return ", ".join(f"{name}={value!r}" for name, value in state.items())
