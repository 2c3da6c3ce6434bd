"""How a song, a melody or drums taken apart show themselves alone in a cell: picture and player.

Cards are small (below 150 KB), since a notebook stores them, and quick: of a long song they draw
and play the first seconds with sound. The records below know this module by name only.
"""

import html as markup
from collections.abc import Mapping

import numpy as np
from matplotlib.figure import Figure

from melodylab import plot, sonify
from melodylab.course.panel import Picture
from melodylab.dsp import features
from melodylab.records import DrumParts, Melody, Song

_DRAWN_S, _PLAYED_S, _STEM_S = 15.0, 5.0, 1.5
_DOTS = 80  # per inch


def html(record: Song | Melody | DrumParts) -> str:
    """The card of a record.

    Parameters
    ----------
    record : Song, Melody or DrumParts
        Any length. Silence has a picture and no player, a melody without frames only its words.

    Returns
    -------
    str
        HTML that holds everything it shows.

    Raises
    ------
    TypeError
        For anything else.
    """
    if isinstance(record, Song):
        drawn = _song(record)
    elif isinstance(record, Melody):
        drawn = _melody(record)
    elif isinstance(record, DrumParts):
        drawn = _drums(record)
    else:
        raise TypeError(f"there is no card for {type(record).__name__}")
    words = f"<div>{markup.escape(repr(record))}</div>"
    return f'<div class="melodylab-card">{words}{drawn}</div>'


def _song(song: Song) -> str:
    start_s = _begins_s(song.audio, song.sr)
    part = song.excerpt(start_s, start_s + _DRAWN_S)
    figure = Figure(figsize=(8, 3.2), layout="constrained")
    above, below = figure.subplots(2, height_ratios=(1, 3))
    plot.waveforms({"": song.audio}, song.sr, ax=above)
    above.set(xlabel="", yticks=[])
    shown = features.power_spectrogram(part, win_samples=_window(song.sr), hop_samples=512)
    plot.spectrogram(shown, ax=below, melody=part.melody, fmax_hz=4000, colorbar=False)
    below.set_xlabel(f"Time from {start_s:.2f} s (s)" if start_s else "Time (s)")
    return _pictured(figure, song) + _played({"": part.audio}, song.sr, _PLAYED_S)


def _window(sr: int) -> int:
    """Samples of about 50 ms, a power of two."""
    return 2 ** max(4, round(np.log2(0.05 * sr)))


def _begins_s(audio: np.ndarray, sr: int) -> float:
    """When the sound first comes near its peak, less a moment; 0 for silence."""
    loud = np.abs(audio).max(axis=0)
    return max(0.0, float(np.argmax(loud > 0.1 * loud.max())) / sr - 0.1)


def _melody(melody: Melody) -> str:
    if not len(melody):
        return ""
    figure = Figure(figsize=(8, 2.4), layout="constrained")
    plot.melody_line(melody, ax=figure.subplots())
    picture = _pictured(figure, melody)
    if not melody.voiced.any():
        return picture
    start_s = melody.times_s[melody.voiced][0] - 0.1
    keep = (melody.times_s >= start_s) & (melody.times_s < start_s + _PLAYED_S)
    part = Melody(melody.times_s[keep] - start_s, melody.f0_hz[keep], melody.voicing[keep])
    return picture + _played({"": sonify.tone(part, 22050)}, 22050, _PLAYED_S)


def _drums(parts: DrumParts) -> str:
    sr = round(2 * parts.freqs_hz[-1])  # the highest row of a transform lies at half the rate
    stems = {name: parts.stems[name].mean(axis=0) for name in parts.stems}
    figure = Figure(figsize=(8, 0.8 + 0.5 * len(stems)), layout="constrained")
    ax = figure.subplots()
    plot.waveforms(stems, sr, ax=ax)
    for row, name in enumerate(stems):
        hits_s = parts.onsets.of_class(name)
        ax.plot(hits_s, np.full(len(hits_s), 0.4 - row), "|", color="#333333", markersize=5)
    sounds = {}
    for name, stem in stems.items():
        hits_s = parts.onsets.of_class(name)
        if len(hits_s) and stem.any():
            first = max(0, round((hits_s[0] - 0.02) * sr))
            sounds[name] = stem[first : first + round(_STEM_S * sr)]
    return _pictured(figure, parts) + _played(sounds, sr, _STEM_S)


def _pictured(figure: Figure, record: object) -> str:
    picture = Picture(figure, alt=repr(record), dpi=_DOTS)
    return picture.html(round(_DOTS * figure.get_figheight()))


def _played(sounds: Mapping[str, np.ndarray], sr: int, seconds: float) -> str:
    """Players at one gain; none for silence."""
    mono = {name: np.atleast_2d(sound).mean(axis=0) for name, sound in sounds.items()}
    heard = {name: sound for name, sound in mono.items() if sound.any()}
    return str(sonify.players(heard, sr, seconds=seconds).data) if heard else ""
