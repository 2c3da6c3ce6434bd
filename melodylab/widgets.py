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
import functools
import html
import io
import re

import ipywidgets
import matplotlib.pyplot as plt
import numpy as np
import traitlets
from IPython import get_ipython
from IPython.display import HTML, display
from matplotlib.figure import Figure
from PIL import Image  # comes with matplotlib

from melodylab import api, decode, drums, evaluate, explain, features, plot, records, separation, sonify, steps, synth
from melodylab.files import InputError
from melodylab.models import NETWORKS, frontends, run

DPI = 100


class Picture:
    """A figure turned into PNG bytes with alt text, and closed. Shows itself in a notebook, prints as its alt text.

    256 colours: a spectrogram then weighs 0.1 MB in the notebook instead of 0.5, and looks the same.
    """

    def __init__(self, figure, alt, dpi=DPI):
        full, small = io.BytesIO(), io.BytesIO()
        figure.savefig(full, format="png", dpi=dpi, pil_kwargs={"compress_level": 1})
        plt.close(figure)
        Image.open(full).convert("RGB").quantize(256, Image.Quantize.FASTOCTREE, dither=Image.Dither.NONE).save(small, "png")
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
        display(HTML(f'<p style="position:absolute; width:1px; height:1px; overflow:hidden">{html.escape(alt)}</p>'))


def _figure_of(drawn):
    figure = drawn if isinstance(drawn, Figure) else getattr(drawn, "figure", None)
    if not isinstance(figure, Figure):
        raise TypeError(f"draw must return a matplotlib Figure or Axes, got {type(drawn).__name__}; end it with `return ax`")
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
        self.ui = ipywidgets.VBox(boxes + [self._player] * (sound is not None)).add_class("melodylab-panel")
        self._update()

    @property
    def state(self):
        """{name: value} of all controls, plain numbers and texts."""
        return {name: _plain(control.value) for name, control in self.controls.items()}

    def set(self, **state):
        """Move controls, in their own order, and redraw once; ValueError, before that, for what a control cannot take."""
        unknown = set(state) - set(self.controls)
        if unknown:
            raise ValueError(f"this panel has no {', '.join(sorted(unknown))}; it has {', '.join(self.controls)}")
        before = self.state
        self._held = True  # one picture for all moves together
        try:
            for name in filter(state.__contains__, self.controls):  # what one takes may depend on those before it
                value = state[name]
                with contextlib.suppress(Exception):  # each control refuses in its own way, or clips: compare instead
                    self.controls[name].value = value
                if self.state[name] != _plain(value):
                    for old, control in zip(before.values(), self.controls.values(), strict=True):
                        control.value = old
                    raise ValueError(f"{name} cannot be {value!r}; look at panel.controls[{name!r}] for its range")
        finally:
            self._held = False
        self._update()

    def draw(self, **state):
        """The Figure for a state, the current one where nothing is said; moves nothing."""
        return _figure_of(self._draw(**self.state | state))

    def _moved(self, _change):
        if not self._held and self.state != self._drawn:  # one move may shift another control, and both report
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
    return float(f"{value:.10g}") if isinstance(value, float) else value  # 0.30000000000000004 is a slider's 0.3


def _words(state):
    return ", ".join(f"{name}={value!r}" for name, value in state.items())


# --- ready-made panels ----------------------------------------------------------------------------------------------------


def threshold_panel(methods, reference=None, *, sound=None):
    """From which voicing on is a frame sung? One slider, the salience under the melody, and the errors where truth is known.

    methods: {name: (Salience, Melody)}. reference: the true Melody, or None. sound(**state): HTML or None.
    """
    controls = {
        "method": ipywidgets.Dropdown(options=list(methods)),
        "threshold": ipywidgets.FloatSlider(value=0.5, min=0, max=1, step=0.02, description="voiced from"),
    }

    def draw(method, threshold):
        salience, melody = methods[method]
        melody = revoiced(melody, threshold)
        figure = Figure(figsize=(10, 4.4 if reference is None else 6.4), layout="constrained")
        axes = figure.subplots(1 if reference is None else 2, sharex=True, squeeze=False)[:, 0]
        plot.salience_map(salience, melody=melody, reference=reference, ax=axes[0])
        title = f"{method}, voiced from {threshold:.2f}: {melody.voiced.mean():.0%} of the frames"
        if reference is not None:
            plot.error_map(melody, reference, evaluate.frame_errors(melody, reference), ax=axes[1])
            scores = evaluate.score_melody(melody, reference)
            title = f"{method}, voiced from {threshold:.2f}:   " + "   ".join(f"{k} {v:.2f}" for k, v in scores.items())
            axes[0].set_xlabel("")
        axes[0].set_title(title)
        return figure

    return Panel(draw, controls, height_px=440 if reference is None else 640, sound=sound)


def revoiced(melody, threshold):
    """The same pitches, voiced where `voicing >= threshold` and there is a pitch: a Melody whose voicing is 0 or 1."""
    voiced = (melody.voicing >= threshold) & np.isfinite(melody.f0_hz)
    return records.Melody(melody.times_s, melody.f0_hz, voiced.astype(float))


_CFP_LAYERS = ("spectrum", "spectrum of the cepstrum", "cepstrum")


def representation_panel(song, *, sr=22050, hop_samples=256, fmax_hz=5000):
    """STFT, mel, CQT, HCQT and CFP of one song, with f0 and its overtones drawn on where the melody is known.

    sr, hop_samples: of all but the CFP, which has 8 kHz and 80.

    A transform is computed when it is first asked for (an HCQT takes seconds) and kept.
    """
    windows = [(f"{1000 * n / sr:.0f} ms", n) for n in (256, 512, 1024, 2048, 4096, 8192)]
    layers = [(f"h = {h:g}", layer) for layer, h in enumerate(features.HARMONICS)]
    controls = {
        "representation": ipywidgets.Dropdown(options=["STFT", "mel", "CQT", "HCQT", "CFP"]),
        "window_samples": ipywidgets.SelectionSlider(options=windows, value=2048, description="window"),
        "bins_per_octave": ipywidgets.SelectionSlider(options=[12, 24, 36, 60], value=36),
        "layer": ipywidgets.Dropdown(options=layers, value=1, description="HCQT layer"),
        "cfp_layer": ipywidgets.Dropdown(options=[(words, n) for n, words in enumerate(_CFP_LAYERS)], description="CFP layer"),
        "lines": ipywidgets.IntSlider(value=0, min=0, max=8, description="lines at h f0"),
        "exponent": ipywidgets.FloatSlider(value=0.4, min=0.1, max=1, step=0.1),
    }
    made = {}

    def transform(kind, window_samples, bins_per_octave):
        if kind == "STFT":
            return features.power_spectrogram(song, sr=sr, win_samples=window_samples, hop_samples=hop_samples)
        if kind == "mel":
            return features.mel(song, sr=sr, win_samples=window_samples, hop_samples=hop_samples, fmax_hz=fmax_hz)
        if kind == "CFP":
            return features.cfp(song)
        octaves, options = (5, {}) if kind == "CQT" else (6, {"fmin_hz": 32.7})
        options |= {"bins_per_octave": bins_per_octave, "n_bins": octaves * bins_per_octave + (kind == "CQT")}
        return (features.cqt if kind == "CQT" else features.hcqt)(song, sr=sr, hop_samples=hop_samples, **options)

    def draw(representation, window_samples, bins_per_octave, layer, cfp_layer, lines, exponent):
        windowed, chosen = representation in ("STFT", "mel"), {"HCQT": layer, "CFP": cfp_layer}.get(representation, 0)
        in_octaves = representation in ("CQT", "HCQT")
        key = (representation, window_samples if windowed else None, bins_per_octave if in_octaves else None)
        if key not in made:
            made[key] = transform(representation, window_samples, bins_per_octave)
        figure = Figure(figsize=(10, 4.4), layout="constrained")
        ax = plot.spectrogram(
            made[key],
            ax=figure.subplots(),
            channel=chosen,
            melody=song.melody if lines else None,
            harmonics=0 if representation == "HCQT" else lines - 1,  # a layer has a pitch in one row, not in many
            fmax_hz=fmax_hz if windowed else None,
            exponent=exponent,
        )
        detail = f"window of {window_samples} samples" if windowed else f"{bins_per_octave} bins per octave"
        detail += f", layer h = {features.HARMONICS[layer]:g}" if representation == "HCQT" else ""
        detail = _CFP_LAYERS[cfp_layer] if representation == "CFP" else detail
        ax.set_title(f"{representation}, {detail}")
        return figure

    def enable(_change=None):
        kind = controls["representation"].value
        controls["window_samples"].disabled = kind not in ("STFT", "mel")
        controls["bins_per_octave"].disabled = kind not in ("CQT", "HCQT")
        controls["layer"].disabled, controls["cfp_layer"].disabled = kind != "HCQT", kind != "CFP"
        controls["lines"].disabled = song.melody is None

    controls["representation"].observe(enable, names="value")
    enable()
    return Panel(draw, controls, height_px=440)


_PARTS = {  # what the panel shows: words for the title
    "model": "the whole model, lead + accompaniment",
    "lead": "the lead, source × filter",
    "source": "the source $W_{F_0} H_{F_0}$",
    "filter": r"the filter $W_\Gamma H_\Gamma H_\Phi$",
    "accompaniment": "the accompaniment $W_B H_B$",
    "residual": "what the model does not explain",
    "H_F0": "$H_{F_0}$, which pitch sounds when",
}


def sfnmf_panel(power, snapshots, *, reference=None, fmax_hz=4000, exponent=None, sound=None):
    """Scrub through the iterations of a source-filter NMF and look at one part of the model at a time.

    power: (freq, time), what was factorised. snapshots: [(iteration, sfnmf.Factors)] in rising order, as `keep` of
    `sfnmf.factorise` hands them out. reference: the true Melody, for a switch that draws it. exponent: of H_F0's picture, see
    `plot.salience_map`. sound(**state): HTML or None.
    """
    by_iteration = dict(snapshots)
    controls = {
        "iteration": ipywidgets.SelectionSlider(options=list(by_iteration), value=list(by_iteration)[-1]),
        "part": ipywidgets.Dropdown(options=list(_PARTS), value="H_F0"),
    }
    if reference is not None:
        controls["truth"] = ipywidgets.Checkbox(value=False, description="true melody")

    def draw(iteration, part, truth=False):
        factors = by_iteration[iteration]
        settings = factors.settings
        times_s = np.arange(power.shape[1]) * settings.hop_samples / settings.sr
        figure = Figure(figsize=(11, 4.4), layout="constrained")
        ax, side = figure.subplots(1, 2, width_ratios=(4, 1))
        if part == "H_F0":  # its scale from frame to frame means nothing, so every frame sums to 1
            shares = factors.H_F0 / np.maximum(factors.H_F0.sum(axis=0), 1e-30)
            salience = records.Salience(shares, settings.grid.freqs_hz, times_s)
            plot.salience_map(salience, ax=ax, exponent=exponent)
            if truth:
                plot.melody_line(reference, ax=ax, label="true melody")
        elif part == "residual":
            plot.level_difference(power, factors.model(), settings.freqs_hz, times_s, ax=ax, fmax_hz=fmax_hz)
        else:
            shown = records.Features(getattr(factors, part)()[None], settings.freqs_hz, times_s, "stft")
            plot.spectrogram(shown, ax=ax, fmax_hz=fmax_hz)
        ax.set_title(f"After {iteration} iterations: {_PARTS[part]}")
        last = max(by_iteration)
        plot.cost_curve(by_iteration[last].cost, ax=side)
        side.plot(iteration, by_iteration[last].cost[iteration], "o", color=plot.INK[1], markersize=9)
        side.set_title("Cost")
        return figure

    return Panel(draw, controls, height_px=440, sound=sound)


def crnn_panel(song, model, *, picture=None, names=None):
    """Look into a CRNN layer by layer and channel by channel, and switch channels off.

    From top to bottom: the input, the chosen channel, what the convolutions hand on, the output, the truth where it is
    known; all on one clock with a cursor, and at the right what each says at that moment. "silence this channel" sets it to
    0, and what comes after it is computed anew: in the picture, in the share of right pitches (RPA) in the title, and in
    the players below, which let you hear the melody with and without the channel, from two seconds before the cursor on.
    song: some seconds, at least one. model: such as `ml.load_model("sf-crnn-1")`. picture: the network's input, Features;
    without it the front end makes it, which takes seconds. names: the layers to choose from, as in `explain.taps`. Raises
    InputError where a network does not say which front end it needs.
    """
    picture = _input_of(model, song) if picture is None else picture
    known = list(explain.tap_names(model))
    handed_on = "cnn" if "cnn" in known else next(name for name in reversed(known) if "." not in name)
    names = [name for name in known if re.fullmatch(r"(cnn\.)?layer\d|gru", name)] if names is None else names
    second = records.Features(picture.values[:, :, :75], picture.freqs_hz, picture.times_s[:75], picture.kind)
    channels = {name: len(layer.values) for name, layer in explain.activations(model, second, names).items()}
    decoding = getattr(model, "card", {}).get("decoding", {})

    @functools.lru_cache(maxsize=1)  # a layer of many channels takes much memory
    def look(layer):
        return explain.activations(model, picture, layer)[layer]

    @functools.lru_cache(maxsize=64)
    def said(layer=None, channel=None):
        """(what the convolutions hand on, salience, melody) with this channel silenced, or as it is."""
        with explain.ablate(model, layer, channel) if layer else contextlib.nullcontext():
            salience = run.salience(model, picture, **decoding)
            return explain.activations(model, picture, handed_on)[handed_on], salience, decode.peak(salience)

    end_s = 0.05 * np.floor(picture.times_s[-1] / 0.05)
    middle_s = 0.05 * round(end_s / 0.1)
    controls = {
        "layer": ipywidgets.Dropdown(options=list(channels)),
        "channel": ipywidgets.IntSlider(value=0, min=0, max=next(iter(channels.values())) - 1),
        "time_s": ipywidgets.FloatSlider(value=middle_s, min=0, max=end_s, step=0.05, description="time (s)"),
        "silence": ipywidgets.Checkbox(value=False, description="silence this channel", indent=False),
    }

    def draw(layer, channel, time_s, silence):
        convolutions, salience, _ = said(layer, channel) if silence else said()
        chosen = f"{layer}, channel {channel}"
        looked_at = {chosen + (" (silenced for all that follows)" if silence else ""): (look(layer), channel)}
        between = {"what the convolutions hand on": convolutions}
        middle = between | looked_at if layer == "gru" else looked_at | between
        rows = {"the input": picture} | middle | {"the output": salience}
        if song.melody is not None:
            rows["the truth"] = song.melody
        figure = plot.aligned(rows, time_s=time_s)
        figure.set_size_inches(10, 0.5 + 1.25 * len(rows))
        figure.suptitle(title(layer, channel, silence))
        return figure

    def rpa(*channel_off):
        return evaluate.score_melody(said(*channel_off)[2], song.melody)["RPA"]

    def title(layer, channel, silence):
        text = f"{layer}, channel {channel}" + (" silenced" if silence else "")
        if song.melody is None:
            return text
        change = f": RPA {rpa():.2f} → {rpa(layer, channel):.2f}" if silence else f": RPA of the network {rpa():.2f}"
        return text + change

    def alt(layer, channel, time_s, silence):
        melodies = {"the output says": said(layer, channel)[2] if silence else said()[2], "true is": song.melody}
        notes = []
        for words, melody in melodies.items():
            if melody is not None:
                f0_hz = melody.resampled([time_s]).sung_hz[0]
                notes.append(f"{words} {plot.note_name(f0_hz) if np.isfinite(f0_hz) else 'no melody'}")
        state = {"layer": layer, "channel": channel, "time_s": time_s, "silence": silence}
        return f"{title(layer, channel, silence)}; at {time_s:.2f} s {', '.join(notes)}. {_words(state)}"

    def sound(layer, channel, time_s, silence):
        melodies = {"melody of the network": said()[2]}
        if silence:
            melodies[f"without channel {channel} of {layer}"] = said(layer, channel)[2]
        sr, n_samples = song.sr, song.audio.shape[1]
        tones = {title: sonify.tone(melody, sr, n_samples) for title, melody in melodies.items()}
        return sonify.players(tones, sr, start_s=max(0, time_s - 2), seconds=4)

    def limit(_change=None):
        controls["channel"].max = channels[controls["layer"].value] - 1

    controls["layer"].observe(limit, names="value")
    return Panel(draw, controls, height_px=700 if song.melody is not None else 580, alt=alt, sound=sound)


def attention_panel(song, model, *, picture=None):
    """Where FTANet looks, level by level, and what its melody loses when one kind of attention is blended to uniform.

    The maps of the block that the cursor is in, drawn beside what they weigh; the melody on the input is that of the network
    with the chosen map blended. The title gives overall accuracy before and after where the truth is known; the players let
    you hear both melodies. song, model, picture: as in `crnn_panel`, for a network with attention maps.
    """
    picture = _input_of(model, song) if picture is None else picture
    levels = sorted(int(name[5:-7]) for name, _ in model.named_modules() if re.fullmatch(r"level\d\.attend", name))
    if not levels:
        raise InputError("this network has no attention maps; choose an FTANet")
    decoding = getattr(model, "card", {}).get("decoding", {})

    @functools.lru_cache(maxsize=64)
    def line(level, axis, blend):
        with explain.uniform(model, f"level{level}.attend.{axis}_map", blend):
            return decode.peak(run.salience(model, picture, **decoding))

    def untouched():
        return line(levels[0], axes[0], 0.0)

    axes = [axis for axis in ("frequency", "time") if any(n.endswith(f".{axis}_map") for n, _ in model.named_modules())]
    end_s = 0.1 * np.floor(picture.times_s[-1] / 0.1)
    controls = {
        "level": ipywidgets.Dropdown(options=levels),
        "axis": ipywidgets.Dropdown(options=axes, description="attention over"),
        "blend": ipywidgets.FloatSlider(value=0.0, min=0, max=1, step=0.25, description="blend to uniform"),
        "time_s": ipywidgets.FloatSlider(value=0.1 * round(end_s / 0.2), min=0, max=end_s, step=0.1, description="time (s)"),
    }

    def draw(level, axis, blend, time_s):
        with explain.uniform(model, f"level{level}.attend.{axis}_map", blend):
            maps = explain.attention(model, picture, time_s, level)
        figure = plot.attention(picture, maps, melody=line(level, axis, blend))
        figure.suptitle(title(level, axis, blend), fontsize="medium")
        return figure

    def title(level, axis, blend):
        text = f"level {level}, over {axis}" + (f", {blend:.0%} uniform" if blend else "")
        if song.melody is None:
            return text
        before, after = (evaluate.score_melody(m, song.melody)["OA"] for m in (untouched(), line(level, axis, blend)))
        return text + (f": OA {before:.2f} → {after:.2f}" if blend else f": OA of the network {before:.2f}")

    def alt(level, axis, blend, time_s):
        return f"{title(level, axis, blend)}. {_words({'level': level, 'axis': axis, 'blend': blend, 'time_s': time_s})}"

    def sound(level, axis, blend, time_s):
        melodies = {"melody of the network": untouched()}
        if blend:
            melodies[f"{blend:.0%} uniform"] = line(level, axis, blend)
        tones = {name: sonify.tone(melody, song.sr, song.audio.shape[1]) for name, melody in melodies.items()}
        return sonify.players(tones, song.sr, start_s=max(0, time_s - 2), seconds=4)

    return Panel(draw, controls, height_px=480, alt=alt, sound=sound)


def filter_panel(song, model, *, picture=None):
    """A learned filter bank kernel by kernel, lowest first: its wave, what it lets through, and what it says of the song.

    The kernel's output is drawn under the melody, where the song's is known. song, model, picture: as in `crnn_panel`, for
    a network that begins with filters (multires).
    """
    picture = _input_of(model, song) if picture is None else picture
    lengths = [length for length in ("short", "long") if getattr(model, length, None) is not None]
    if not lengths:
        raise InputError("this network has no filter banks; choose a multires network")
    found = {length: explain.kernel_responses(model, length) for length in lengths}
    order = {length: bank.centres_hz.argsort(kind="stable") for length, bank in found.items()}
    said = {name: layer.values[:, 0] for name, layer in explain.activations(model, picture, lengths).items()}
    end_s, many = 0.1 * np.floor(picture.times_s[-1] / 0.1), max(map(len, order.values()))
    controls = {
        "length": ipywidgets.Dropdown(options=lengths, value=lengths[-1]),
        "kernel": ipywidgets.IntSlider(value=many // 3, min=0, max=many - 1, description="kernel, by frequency"),
        "time_s": ipywidgets.FloatSlider(value=0.1 * round(end_s / 0.2), min=0, max=end_s, step=0.1, description="time (s)"),
    }

    def draw(length, kernel, time_s):
        bank, k = found[length], order[length][kernel]
        figure = Figure(figsize=(10, 4.6), layout="constrained")
        grid = figure.add_gridspec(2, 2)
        wave, response, below = (figure.add_subplot(place) for place in (grid[0, 0], grid[0, 1], grid[1, :]))
        wave.plot(1000 * bank.times_s, bank.kernels[k], linewidth=0.9)
        wave.set(xlabel="Time (ms)", title="the kernel")
        response.plot(bank.freqs_hz, bank.levels_db[k], linewidth=1)
        response.set(xlabel="Frequency (Hz)", ylabel="dB", ylim=(-50, 2), title="what it lets through")
        response.set_xlim(0, min(8000, 4 * bank.centres_hz[k] + 500))
        below.plot(picture.times_s, said[length][k], linewidth=0.9)
        below.axvline(time_s, color="black", linestyle=(0, (4, 2)), linewidth=1)
        below.set(xlabel="Time (s)", ylabel="Output", xlim=picture.times_s[[0, -1]], title="what it says of the song")
        if song.melody is not None:
            pitch = below.twinx()
            pitch.plot(song.melody.times_s, song.melody.sung_hz, color="#d55e00", linewidth=1.5, linestyle=(0, (3, 1)))
            pitch.set_ylabel("Melody (Hz)")
        figure.suptitle(title(length, kernel), fontsize="medium")
        return figure

    def title(length, kernel):
        bank, k = found[length], order[length][kernel]
        return (
            f"{length}, {bank.kernels.shape[1]} samples, kernel {kernel} by frequency: {bank.centres_hz[k]:.0f} Hz, "
            f"{bank.bandwidths_hz[k]:.0f} Hz wide"
        )

    def alt(length, kernel, time_s):
        value = said[length][order[length][kernel], int(np.argmin(np.abs(picture.times_s - time_s)))]
        state = {"length": length, "kernel": kernel, "time_s": time_s}
        return f"{title(length, kernel)}; at {time_s:.1f} s it says {value:.2f}. {_words(state)}"

    return Panel(draw, controls, height_px=480, alt=alt)


_OFF_DB, _MOST_DB = -60, 6  # of a fader: off, and the loudest


def mixing_desk(song, model, *, picture=None, melodies=None, seconds=6.0):
    """Two faders, and between them the mask that parts a song: sharper or softer, gated or not, alone or led. Look and listen.

    model: with a mask, such as unet. picture: what its front end makes of the song, if it is there already. melodies:
    {name: Melody} that may lead it; without them the song's own, where it is known. seconds: of the player. At 0 and 0 dB it is
    the song itself.
    The gate: "slow" is the network's own, "frame by frame" what it answers to "is there a melody?", taken for one.
    The network runs once for each leader, and the mask is applied once for each of its settings: a fader only adds.
    """
    picture = _input_of(model, song) if picture is None else picture
    if melodies is None:
        melodies = {"by the true melody": song.melody} if song.melody is not None else {}
    leaders = {"alone": None} | (melodies if model.led else {})
    last_s = max(0, song.duration_s - seconds)
    sharpnesses = [("½", 0.5), ("1", 1.0), ("2", 2.0), ("4", 4.0), ("binary", np.inf)]
    fader = {"min": _OFF_DB, "max": _MOST_DB, "step": 3, "value": 0}
    controls = {
        "melody_db": ipywidgets.IntSlider(**fader, description="melody (dB)"),
        "accompaniment_db": ipywidgets.IntSlider(**fader, description="backing (dB)"),
        "sharpness": ipywidgets.SelectionSlider(options=sharpnesses, value=1.0),
        "gate": ipywidgets.Dropdown(options=["slow", "frame by frame", "off"]),
        "led": ipywidgets.Dropdown(options=list(leaders)),
        "from_s": ipywidgets.FloatSlider(value=0, min=0, max=max(0.5, last_s), step=0.5, description="play from (s)"),
    }
    loudest = features.power_spectrogram(song).values.max()
    gain = 0.9 / max(np.abs(song.audio).max(), 1e-3) / _factor(_MOST_DB)  # both faders at their end do not clip

    answer = explain.is_there_a_melody(model, picture)

    @functools.lru_cache(maxsize=8)
    def asked(led):
        return run.mask(model, picture, leaders[led])

    def used(sharpness, gate, led):
        mask, slow = asked(led)
        return separation.sharper(mask, sharpness), {"slow": slow, "frame by frame": answer, "off": None}[gate]

    @functools.lru_cache(maxsize=4)
    def parted(sharpness, gate, led):
        lead = separation.lead_by_mask(song, *used(sharpness, gate, led))
        if "melody" not in song.stems:
            return lead, ""
        return lead, f"; this mask's melody: SDR {evaluate.bss_eval_sdr(song.stems['melody'], lead).mean():.1f} dB"

    def mixed(melody_db, accompaniment_db, **mask):
        lead, _ = parted(**mask)
        return _factor(melody_db) * lead + _factor(accompaniment_db) * separation.rest(song, lead)

    def draw(melody_db, accompaniment_db, from_s, **mask):
        figure = Figure(figsize=(10, 5.4), layout="constrained")
        above, below = figure.subplots(2, 1, sharex=True)
        shares, gate = used(**mask)
        shown = shares if gate is None else records.Mask(shares.values * gate, shares.freqs_hz, shares.times_s)
        plot.mask_map(shown, gate=gate, ax=above, colorbar=False).set(xlabel="", title="the mask")
        heard = records.Song.from_array(mixed(melody_db, accompaniment_db, **mask), song.sr)
        spectrum = features.power_spectrogram(heard)
        plot.spectrogram(spectrum, ax=below, scale="log", loudest=loudest, colorbar=False)
        below.set(ylim=above.get_ylim(), title="what you hear")
        start_s = min(from_s, last_s)
        below.axvspan(start_s, min(start_s + seconds, song.duration_s), 0, 0.02, color="white")  # what the player plays
        figure.suptitle(title(melody_db, accompaniment_db, **mask), fontsize="medium")
        return figure

    def title(melody_db, accompaniment_db, **mask):
        return f"melody {_level(melody_db)}, accompaniment {_level(accompaniment_db)}{parted(**mask)[1]}"

    def alt(**state):
        return f"{title(**{name: value for name, value in state.items() if name != 'from_s'})}. {_words(state)}"

    def sound(from_s, **state):
        options = {"start_s": min(from_s, last_s), "seconds": seconds, "gain": gain, "title": "what you hear"}
        return sonify.player(mixed(**state), song.sr, **options)

    return Panel(draw, controls, height_px=540, alt=alt, sound=sound)


def _factor(level_db):
    return 0.0 if level_db == _OFF_DB else 10 ** (level_db / 20)


def _level(level_db):
    return "off" if level_db == _OFF_DB else f"{level_db:+d} dB" if level_db else "0 dB"


def _input_of(model, song):
    """The picture that the network's own front end makes of a song."""
    name = getattr(model, "name", None)
    name = getattr(model, "card", {}).get("front_end", NETWORKS[name][-1] if name in NETWORKS else None)
    if name is None:
        raise InputError("this network does not say what it hears; give its input: picture=frontends.FRONT_ENDS[...](song)")
    return frontends.FRONT_ENDS[name](song)


# --- training while you watch ---------------------------------------------------------------------------------------------


class LiveLoss:
    """A learning curve that grows while a network learns. Put it last in a cell, and hand it to `train.fit` in the next.

    `train.fit(recipe, on_step=live)` fills it. every: steps from one picture to the next; a picture takes as long as a step.
    Attributes: losses, all so far; picture, the current `Picture`.
    """

    def __init__(self, every=10):
        self.every, self.losses, self.picture = every, [], None
        self.ui = ipywidgets.HTML("Nothing learned yet.", layout=ipywidgets.Layout(height="270px"))

    def __call__(self, step, loss):
        self.losses.append(loss)
        if len(self.losses) % self.every == 0:
            figure = Figure(figsize=(8, 2.6), layout="constrained")
            plot.learning_curve(self.losses, ax=figure.subplots())
            self.picture = Picture(figure, f"The loss went from {self.losses[0]:.2f} to {loss:.2f} in {step} steps")
            self.ui.value = self.picture.html(260)

    def __repr__(self):
        return "LiveLoss()"

    def _repr_mimebundle_(self, include=None, exclude=None):
        return (self.ui._repr_mimebundle_() or {}) | {"text/plain": repr(self)}


def training_panel(song, *, steps=20, songs=(1, 2, 4, 8), seconds=6.0, network="cqt-crnn-1", features=None):
    """Every move trains a small network from its first random numbers on, for some seconds; a line below tells the loss.

    Left the learning curve, right the melody that the network then finds in `song`, which it never heard; the truth is
    there, too. steps: of each training, two examples of 125 frames each. songs: how many there are to learn from, the
    choices of a slider. seconds: length of each. features: folder that keeps their features from move to move.
    A setting that was tried comes back at once, and the same.
    """
    from melodylab import train  # needs lightning, which the other panels do not

    rates = [(f"{rate:g}", rate) for rate in (3e-4, 1e-3, 3e-3, 1e-2, 3e-2)]
    controls = {
        "songs": ipywidgets.SelectionSlider(options=list(songs), value=songs[-1], description="songs to learn from"),
        "learning_rate": ipywidgets.SelectionSlider(options=rates, value=3e-3),
        "formant_voice": ipywidgets.Checkbox(value=True, description="voices with formants", indent=False),
        "rests": ipywidgets.Checkbox(value=True, description="bars without lead", indent=False),
        "drums": ipywidgets.Checkbox(value=True, description="drums", indent=False),
    }
    heard = frontends.FRONT_ENDS[NETWORKS[network][-1]](song)
    line = ipywidgets.HTML(layout=ipywidgets.Layout(height="2em"))

    @functools.lru_cache(maxsize=None)
    def learn(songs, learning_rate, **ingredients):
        losses = []

        def tell(step, loss):
            losses.append(loss)
            line.value = f"step {step} of {steps}: loss {loss:.2f}"

        plan = {"steps": steps, "batch_size": 2, "frames": 125, "validate_every": steps, "learning_rate": learning_rate}
        data = {"songs": songs, "mixes": 1, "seconds": float(seconds), "ingredients": ingredients}
        recipe = {"model": {"name": network}, "data": data, "training": plan}
        model, _ = train.fit(recipe, validate=[song], device="cpu", features=features, on_step=tell)
        return losses, run.salience(model, heard)

    def draw(**state):
        losses, salience = learn(**state)
        melody = decode.peak(salience)
        figure = Figure(figsize=(11, 3.8), layout="constrained")
        left, right = figure.subplots(1, 2, width_ratios=(2, 3))
        plot.learning_curve(losses, ax=left)
        plot.salience_map(salience, melody=melody, reference=song.melody, ax=right, colorbar=False)
        scores = evaluate.score_melody(melody, song.melody)
        told = "  ".join(f"{name} {scores[name]:.2f}" for name in ("RPA", "OA", "VFA"))
        right.set_title(f"A song it never heard:  {told}")
        return figure

    panel = Panel(draw, controls, height_px=380)
    panel.ui.children += (line,)
    return panel


# --- drums ----------------------------------------------------------------------------------------------------------------


class ToggleGrid(ipywidgets.VBox):
    """Rows of buttons that are on or off, as one control with a `value`: a word a row, "x" for on, "-" for off, joined by "/".

    rows: {name of a row: [names of its buttons]}, for tooltips. value: as above. shown: so many columns stand in the page, from
    column `first` on; all if None. A gap after every `group` of them.
    """

    value = traitlets.Unicode()
    first = traitlets.Int(0)
    description = traitlets.Unicode(" ")  # as the other controls of a `Panel` have; each button says its own

    def __init__(self, rows, value, *, shown=None, group=4):
        columns = len(next(iter(rows.values())))
        self._names, self._columns, self._filling = list(rows.items()), columns, False
        self._buttons, lines = [], []
        for name, _ in self._names:
            label = ipywidgets.Label(name.replace("_", " "), layout=ipywidgets.Layout(width="6.5em"))
            buttons = []
            for n in range(shown or columns):
                gap = "8px" if n % group == group - 1 else "1px"
                layout = ipywidgets.Layout(width="2.3em", height="1.9em", padding="0", margin=f"1px {gap} 1px 1px")
                buttons.append(ipywidgets.ToggleButton(layout=layout))
                buttons[-1].observe(self._pressed, names="value")
            self._buttons.append(buttons)
            lines.append(ipywidgets.HBox([label, *buttons]))
        super().__init__(lines, layout=ipywidgets.Layout(width="auto"))
        self.value = value
        self._fill()
        self.observe(self._fill, names=["value", "first"])

    @traitlets.validate("value")
    def _fits(self, proposal):
        words = proposal["value"].split("/")
        if len(words) != len(self._names) or any(len(word) != self._columns or set(word) - set("x-") for word in words):
            raise traitlets.TraitError(f"{len(self._names)} words of {self._columns} letters x or - are asked for")
        return proposal["value"]

    def _fill(self, _change=None):
        """Show what `value` says."""
        self._filling = True
        for word, (name, titles), buttons in zip(self.value.split("/"), self._names, self._buttons, strict=True):
            for n, button in enumerate(buttons, self.first):
                inside = n < self._columns
                on = inside and word[n] == "x"
                with button.hold_trait_notifications():
                    button.value, button.disabled = on, not inside
                    button.description, button.button_style = "●" if on else "", "info" if on else ""
                    button.tooltip = f"{name.replace('_', ' ')}, {titles[n]}" if inside else ""
        self._filling = False

    def _pressed(self, _change):
        if self._filling:
            return
        words = [list(word) for word in self.value.split("/")]
        for word, buttons in zip(words, self._buttons, strict=True):
            stop = min(self.first + len(buttons), self._columns)
            word[self.first : stop] = ["x" if button.value else "-" for button in buttons[: stop - self.first]]
        self.value = "/".join("".join(word) for word in words)


def step_panel(song, onsets=None, *, tempo_bpm=None, **settings):
    """A drum loop on a step grid: change what was transcribed, and the loop is taken apart anew, while you wait.

    Every step that is switched learns W again from the changed hits (half a second for a loop of eight). The picture shows the five
    stems with the hits in their own time, and at the right what W now sounds like; below the names stands the SI-SDR of each stem
    where the truth is known. Mute and solo choose what the player plays, at one gain. One bar of buttons at a time.
    song: some seconds. onsets: `DrumOnsets`; without them the shipped network transcribes. tempo_bpm: else it is estimated.
    settings: of `drums.separate`.
    """
    onsets = api.transcribe_drums(song) if onsets is None else onsets
    onsets = drums.separate(song, onsets, **settings).onsets  # with the velocities that were measured
    grid = steps.find(onsets, song.duration_s, tempo_bpm=tempo_bpm)
    transcribed, names = steps.pattern(onsets, grid), list(synth.DRUM_CLASSES)
    bars = -(-grid.count // 16)
    cells = [f"bar {n // 16 + 1}, step {n % 16 + 1}" for n in range(grid.count)]
    switches = [name.replace("_", " ") for name in names]
    controls = {
        "bar": ipywidgets.IntSlider(value=1, min=1, max=bars),
        "steps": ToggleGrid(dict.fromkeys(names, cells), transcribed, shown=16),
        "mute": _Switches("mute", switches),
        "solo": _Switches("solo", switches),
    }

    @functools.lru_cache(maxsize=16)
    def taken_apart(pattern):
        """(`DrumParts`, what was added, what was removed)."""
        changed = steps.edited(onsets, grid, pattern)
        before, after = (set(zip(o.times_s.tolist(), o.classes, strict=True)) for o in (onsets, changed))
        return drums.separate(song, changed, velocities=False, **settings), sorted(after - before), sorted(before - after)

    def heard(mute, solo):
        chosen = [name for name, on in zip(names, solo, strict=True) if on == "x"] or names
        return [name for name, off in zip(names, mute, strict=True) if off == "-" and name in chosen]

    def scores(parts):
        if not song.stems or any(name not in song.stems for name in names):
            return {}
        return {name: evaluate.si_sdr(song.stems[name], parts.stems[name]) for name in names if song.stems[name].any()}

    def notes(parts):
        return {name: f"{value:.1f} dB" if np.isfinite(value) else "silent" for name, value in scores(parts).items()}

    def draw(bar, steps, mute, solo):
        parts, added, removed = taken_apart(steps)
        figure = Figure(figsize=(11, 4.6), layout="constrained")
        ax, side = figure.subplots(1, 2, width_ratios=(6, 1))
        silent = set(names) - set(heard(mute, solo))
        looks = {"added": added, "removed": removed, "silent": silent, "notes": notes(parts), "bar": bar - 1}
        plot.step_map(parts.stems, song.sr, grid, parts.onsets, **looks, ax=ax)
        ax.set_title(title(parts, added, removed), loc="left", fontsize="medium")
        plot.drum_templates(parts, ax=side)
        side.set_title("W", fontsize="medium")
        side.set_xlabel("")
        return figure

    def title(parts, added, removed):
        text = f"{grid.tempo_bpm:.0f} beats a minute, {len(parts.onsets.times_s)} hits"
        return text + (f" ({len(added)} added, {len(removed)} removed)" if added or removed else "")

    def alt(bar, steps, mute, solo):
        parts, added, removed = taken_apart(steps)
        told = [f"{name} {len(parts.onsets.of_class(name))} hits, {text}" for name, text in notes(parts).items()]
        state = {"bar": bar, "mute": mute, "solo": solo}  # the pattern is too long to be read out
        told += [f"heard: {', '.join(heard(mute, solo)) or 'nothing'}"]
        return f"{title(parts, added, removed)}; {'; '.join(told)}. {_words(state)}"

    def sound(bar, steps, mute, solo):
        playing = heard(mute, solo)
        if not playing:
            return "<p>All five are muted.</p>"
        parts = taken_apart(steps)[0]
        mix = song.audio if len(playing) == len(names) else sum(parts.stems[name] for name in playing)
        gain = 0.9 / max(np.abs(song.audio).max(), 1e-3)
        return sonify.player(mix, song.sr, seconds=8, gain=gain, title=" + ".join(playing).replace("_", " "))

    def turn(_change=None):
        controls["steps"].first = 16 * (controls["bar"].value - 1)

    controls["bar"].observe(turn, names="value")
    return Panel(draw, controls, height_px=460, alt=alt, sound=sound)


class _Switches(ToggleGrid):
    """One row of the same, with the buttons' names on them."""

    def __init__(self, name, titles):
        super().__init__({name: titles}, "-" * len(titles), group=len(titles))
        for button, title in zip(self._buttons[0], titles, strict=True):
            button.layout.width = "7.2em"
        self._fill()

    def _fill(self, _change=None):
        super()._fill()
        for button, title in zip(self._buttons[0], self._names[0][1], strict=True):
            button.description = f"● {title}" if button.value else title
