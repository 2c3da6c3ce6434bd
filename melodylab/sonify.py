"""Make results audible: a tone that follows a melody, clicks on hits, and small players for
notebooks.

Conventions: sounds are float32, (samples,) or (channels, samples), full scale 1. A tone sounds
where the melody is voiced and nowhere else; its pitch moves only within a voiced run. Players
carry their sound inside: no files, no network.
"""

from __future__ import annotations

import base64
import html
import io
from typing import TYPE_CHECKING

import numpy as np
import soundfile as sf

from melodylab.dsp import stft
from melodylab.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from IPython.display import HTML
    from numpy.typing import ArrayLike

    from melodylab.records import Melody, Song

_STRENGTHS = (1, 0.5, 0.3, 0.2, 0.12, 0.08)  # of the tone's harmonics
_PLAYER_RATES = (
    8000,
    11025,
    12000,
    16000,
    22050,
    24000,
)  # what MP3 can hold; other rates become 22050 Hz


def tone(melody: Melody, sr: int, n_samples: int | None = None) -> np.ndarray:
    """A soft tone with six harmonics that follows the voiced part of `melody`.

    Each voiced run reaches half a frame beyond its first and last frame, has 8 ms ramps inside and
    keeps its phase; between frames f0 is interpolated in log-frequency, within the run only. Exact
    zeros elsewhere. (mir_eval.sonify.pitch_contour glides towards 0 Hz and sounds on through gaps.)

    Parameters
    ----------
    melody : Melody
        Its voiced frames are heard.
    sr : int
        Samples a second.
    n_samples : int, optional
        Length of the result; up to the end of the last frame if not given.

    Returns
    -------
    ndarray
        (n_samples,) float32, peak below 0.4; zeros where nothing is voiced.
    """
    times_s, sung_hz = melody.times_s, melody.sung_hz
    step_s = np.median(np.diff(times_s)) if len(times_s) > 1 else 0.01
    middles_s = (times_s[1:] + times_s[:-1]) / 2
    edges_s = np.concatenate([times_s[:1] - step_s / 2, middles_s, times_s[-1:] + step_s / 2])
    if n_samples is None:
        n_samples = int(np.ceil(edges_s[-1] * sr)) if len(times_s) else 0
    y = np.zeros(n_samples, dtype=np.float32)
    changes = np.diff(np.concatenate([[0], np.isfinite(sung_hz), [0]]).astype(int))
    for first, after in zip(
        np.flatnonzero(changes == 1), np.flatnonzero(changes == -1), strict=True
    ):
        begin_s, end_s = edges_s[first], edges_s[after]
        a, b = np.clip(np.ceil(np.array([begin_s, end_s]) * sr).astype(int), 0, n_samples)
        t = np.arange(a, b) / sr
        f0_hz = np.exp(np.interp(t, times_s[first:after], np.log(sung_hz[first:after])))
        phase = 2 * np.pi * np.cumsum(f0_hz) / sr
        gate = np.clip(np.minimum(t - begin_s, end_s - t) / 0.008, 0, 1)
        for k, strength in enumerate(_STRENGTHS, 1):
            below_nyquist = np.clip(
                (0.48 * sr - k * f0_hz) / (0.05 * sr), 0, 1
            )  # a harmonic fades before it folds back
            y[a:b] += (0.17 * strength * gate * below_nyquist * np.sin(k * phase)).astype(
                np.float32
            )
    return y


def clicks(times_s: ArrayLike, sr: int, n_samples: int) -> np.ndarray:
    """A short blip that starts at the sample nearest to each time.

    Parameters
    ----------
    times_s : ArrayLike
        (hits,) in seconds, in any order; what falls outside the sound is left out.
    sr : int
        Samples a second.
    n_samples : int
        Length of the result.

    Returns
    -------
    ndarray
        (n_samples,) float32, peak below 1.
    """
    y = np.zeros(n_samples, dtype=np.float32)
    t = np.arange(round(0.03 * sr)) / sr
    blip = (0.5 * np.cos(2 * np.pi * min(2000, 0.25 * sr) * t) * np.exp(-t / 0.005)).astype(
        np.float32
    )
    for start in np.round(np.asarray(times_s, dtype=float) * sr).astype(int):
        if 0 <= start < n_samples:
            y[start : start + len(blip)] += blip[: n_samples - start]
    return np.clip(y, -1, 1)


def check_mix(song: Song, melody: Melody) -> np.ndarray:
    """The song on the left ear, the melody's tone on the right.

    The tone is made as loud (RMS) as the mix, as far as full scale allows. The left channel is
    `song.mono`, unchanged.

    Parameters
    ----------
    song : Song
        Of any channel count; its channels are averaged.
    melody : Melody
        What the tone follows.

    Returns
    -------
    ndarray
        (2, samples) float32 at the song's rate.
    """
    right = tone(melody, song.sr, song.audio.shape[1])
    on = right != 0
    if on.any() and song.mono.any():
        right *= min(_rms(song.mono) / _rms(right[on]), 0.95 / np.abs(right).max())
    return np.stack([song.mono, right])


def player(
    audio: np.ndarray,
    sr: int,
    *,
    start_s: float = 0,
    seconds: float = 6,
    gain: float | None = None,
    title: str = "",
) -> HTML:
    """An HTML player for an excerpt, as IPython.display.HTML.

    The sound is inside as MP3, about 35 KB for 6 s of mono. Same input, same bytes.

    Parameters
    ----------
    audio : ndarray
        (samples,) or (channels, samples); more than two channels are mixed to one.
    sr : int
        Samples a second.
    start_s : float
        Where the excerpt begins, in seconds.
    seconds : float
        How long it is; less where the sound ends.
    gain : float, optional
        A factor, the same for all sounds that are to be compared by level (beyond full scale it
        clips); None brings the peak to 0.9, but leaves alone what is quieter than 0.001 (-60 dB).
    title : str
        Shown above, and read by screen readers.

    Returns
    -------
    HTML

    Raises
    ------
    InputError
        Where the excerpt holds no sound.
    """
    from IPython.display import HTML

    return HTML(_figure(_excerpt(audio, sr, start_s, seconds), sr, gain, title))


def players(
    sounds: Mapping[str, np.ndarray],
    sr: int,
    *,
    start_s: float = 0,
    seconds: float = 6,
    gain: float | None = None,
) -> HTML:
    """A row of players for {title: audio} at one common gain, so that levels can be compared.

    Options as in `player`.

    Parameters
    ----------
    sounds : Mapping[str, ndarray]
        {title: (samples,) or (channels, samples)}.
    sr : int
        Samples a second.
    start_s : float
        Where the excerpt begins, in seconds.
    seconds : float
        How long it is; less where the sound ends.
    gain : float, optional
        A factor for all; None brings the loudest of the excerpts to peak 0.9.

    Returns
    -------
    HTML

    Raises
    ------
    InputError
        Where an excerpt holds no sound.
    """
    from IPython.display import HTML

    cut = {title: _excerpt(audio, sr, start_s, seconds) for title, audio in sounds.items()}
    if gain is None:
        gain = _gain_for(max((np.abs(y).max() for y in cut.values()), default=0))
    row = "".join(_figure(y, sr, gain, title) for title, y in cut.items())
    return HTML(f'<div style="display:flex;flex-wrap:wrap;gap:1em">{row}</div>')


def _excerpt(audio, sr, start_s, seconds):
    """(1 or 2, samples) between two times, with 5 ms ramps where something was cut off."""
    # a NaN would crash the MP3 encoder, and the process with it
    audio = np.nan_to_num(np.atleast_2d(np.asarray(audio, dtype=np.float32)), posinf=0, neginf=0)
    audio = audio if len(audio) <= 2 else audio.mean(axis=0, keepdims=True)
    a, b = max(0, round(start_s * sr)), min(audio.shape[-1], round((start_s + seconds) * sr))
    if a >= b:
        raise InputError(
            f"nothing to play between {start_s} s and {start_s + seconds} s: the sound lasts "
            f"{audio.shape[-1] / sr:.2f} s"
        )
    ramp = np.linspace(0, 1, min(round(0.005 * sr), b - a), dtype=np.float32)
    cut = audio[:, a:b].copy()
    if a > 0:
        cut[:, : len(ramp)] *= ramp
    if b < audio.shape[-1]:
        cut[:, len(cut[0]) - len(ramp) :] *= ramp[::-1]
    return cut


def _gain_for(peak):
    return 0.9 / peak if peak > 1e-3 else 1.0


def _figure(y, sr, gain, title):
    """The HTML of one player; y: (1 or 2, samples)."""
    gain = _gain_for(np.abs(y).max()) if gain is None else gain
    label = html.escape(str(title), quote=True)
    data = base64.b64encode(_mp3(y * np.float32(gain), int(sr))).decode("ascii")
    caption = f"<figcaption>{label}</figcaption>" if title else ""
    return (
        f'<figure style="margin:0.5em 0">{caption}<audio controls aria-label="{label or "sound"}" '
        f'src="data:audio/mpeg;base64,{data}"></audio></figure>'
    )


def _mp3(y, sr):
    """Encode (1 or 2, samples) with a variable bit rate.

    At a low constant rate the file lacks the mark that cuts off the encoder's delay: the sound
    would come 60 ms late.
    """
    if sr not in _PLAYER_RATES:
        y, sr = stft.resample(y, sr, 22050), 22050
    data = io.BytesIO()
    options = {
        "format": "MP3",
        "compression_level": 0.9 if len(y) == 1 else 0.95,
        "bitrate_mode": "VARIABLE",
    }
    sf.write(data, np.clip(y, -1, 1).T, sr, **options)
    return data.getvalue()


def _rms(y):
    return np.sqrt(np.mean(np.square(y)))
