"""Panel of 01_representations: window, bins, harmonics, exponents."""

from __future__ import annotations

from typing import TYPE_CHECKING

import ipywidgets
from matplotlib.figure import Figure

from melodylab import plot
from melodylab.course.panel import Panel
from melodylab.dsp import cfp, features

if TYPE_CHECKING:
    from melodylab.records import Song

_CFP_LAYERS = ("spectrum", "spectrum of the cepstrum", "cepstrum")


def representation_panel(
    song: Song, *, sr: int = 22050, hop_samples: int = 256, fmax_hz: float = 5000
) -> Panel:
    """STFT, mel, CQT, HCQT and CFP of one song, with f0 and its overtones drawn on where the melody
    is known.

    A transform is computed when it is first asked for (an HCQT takes seconds) and kept.

    Parameters
    ----------
    song : Song
        Some seconds, of any rate and channel count.
    sr : int
        Working rate in Hz of all but the CFP, which has 8 kHz.
    hop_samples : int
        From frame to frame, of all but the CFP, which has 80.
    fmax_hz : float
        Upper end of STFT and mel, in Hz.

    Returns
    -------
    Panel
    """
    windows = [(f"{1000 * n / sr:.0f} ms", n) for n in (256, 512, 1024, 2048, 4096, 8192)]
    layers = [(f"h = {h:g}", layer) for layer, h in enumerate(features.HARMONICS)]
    controls = {
        "representation": ipywidgets.Dropdown(options=["STFT", "mel", "CQT", "HCQT", "CFP"]),
        "window_samples": ipywidgets.SelectionSlider(
            options=windows, value=2048, description="window"
        ),
        "bins_per_octave": ipywidgets.SelectionSlider(options=[12, 24, 36, 60], value=36),
        "layer": ipywidgets.Dropdown(options=layers, value=1, description="HCQT layer"),
        "cfp_layer": ipywidgets.Dropdown(
            options=[(words, n) for n, words in enumerate(_CFP_LAYERS)], description="CFP layer"
        ),
        "lines": ipywidgets.IntSlider(value=0, min=0, max=8, description="lines at h f0"),
        "exponent": ipywidgets.FloatSlider(value=0.4, min=0.1, max=1, step=0.1),
    }
    made = {}

    def transform(kind, window_samples, bins_per_octave):
        if kind == "STFT":
            return features.power_spectrogram(
                song, sr=sr, win_samples=window_samples, hop_samples=hop_samples
            )
        if kind == "mel":
            return features.mel(
                song, sr=sr, win_samples=window_samples, hop_samples=hop_samples, fmax_hz=fmax_hz
            )
        if kind == "CFP":
            return cfp.cfp(song)
        octaves, options = (5, {}) if kind == "CQT" else (6, {"fmin_hz": 32.7})
        options |= {
            "bins_per_octave": bins_per_octave,
            "n_bins": octaves * bins_per_octave + (kind == "CQT"),
        }
        return (features.cqt if kind == "CQT" else features.hcqt)(
            song, sr=sr, hop_samples=hop_samples, **options
        )

    def draw(representation, window_samples, bins_per_octave, layer, cfp_layer, lines, exponent):
        windowed, chosen = (
            representation in ("STFT", "mel"),
            {"HCQT": layer, "CFP": cfp_layer}.get(representation, 0),
        )
        in_octaves = representation in ("CQT", "HCQT")
        key = (
            representation,
            window_samples if windowed else None,
            bins_per_octave if in_octaves else None,
        )
        if key not in made:
            made[key] = transform(representation, window_samples, bins_per_octave)
        figure = Figure(figsize=(10, 4.4), layout="constrained")
        ax = plot.spectrogram(
            made[key],
            ax=figure.subplots(),
            channel=chosen,
            melody=song.melody if lines else None,
            harmonics=0
            if representation == "HCQT"
            else lines - 1,  # a layer has a pitch in one row, not in many
            fmax_hz=fmax_hz if windowed else None,
            exponent=exponent,
        )
        detail = (
            f"window of {window_samples} samples"
            if windowed
            else f"{bins_per_octave} bins per octave"
        )
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
