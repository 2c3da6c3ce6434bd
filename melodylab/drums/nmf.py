"""H drawn from the hits and held, KL updates of W alone, Wiener masks: five stems."""

import os
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, fields
from dataclasses import replace as changed

import numpy as np
from scipy import signal

from melodylab.drums.stems import Stems
from melodylab.dsp import grids, nmf, stft
from melodylab.errors import InputError
from melodylab.io.songs import SongOrPath, as_song
from melodylab.records import DRUM_CLASSES as CLASSES
from melodylab.records import DrumOnsets, DrumParts


@dataclass(frozen=True)
class Settings:
    """How `separate` works.

    Attributes
    ----------
    decays_s : tuple or dict
        In what time, in seconds, each of a class's activations falls to 1/e; a tuple for all
        classes or a dict by class.
    iterations : int
        Updates of W.
    power : float
        Of the Wiener masks.
    velocity_rounds : int
        How often the hits' velocities are measured, between updates of W, where they are not given.
    free_iterations : int
        At the end W and H move together so often.
    win_s : float
        About how long the window is, in seconds; the nearest power of two is taken, and a quarter
        of it as hop.
    most_frames : int
        W is learned from at most so many frames, those after hits all over the song, so that a long
        song takes no more memory.
    """

    decays_s: tuple | dict = (0.015, 0.05, 0.15, 0.5)
    iterations: int = 40
    power: float = 2.0
    velocity_rounds: int = 2
    free_iterations: int = 0
    win_s: float = 0.046
    most_frames: int = 4000

    def decays_of(self, name: str) -> tuple:
        """The paces of one class.

        Parameters
        ----------
        name : str
            One of `DRUM_CLASSES`.

        Returns
        -------
        tuple of float
            Seconds.
        """
        return tuple(self.decays_s[name] if isinstance(self.decays_s, Mapping) else self.decays_s)


SETTINGS = Settings()


_FLOOR = 1e-5  # of H: between hits every class that plays keeps a little of everything


_FINE = 8  # H is drawn with so many points a hop


_CHOKE_S = 0.01


def separate(
    song: SongOrPath,
    onsets: DrumOnsets,
    settings: Settings = SETTINGS,
    *,
    velocities: bool | None = None,
    decays_s: tuple | dict | None = None,
    iterations: int | None = None,
    power: float | None = None,
    velocity_rounds: int | None = None,
    free_iterations: int | None = None,
    win_s: float | None = None,
    most_frames: int | None = None,
) -> DrumParts:
    """A song as five stems, from its hits.

    Parameters
    ----------
    song : Song, str or path
        Any rate, length and channels. Silence gives silent stems.
    onsets : DrumOnsets
        The hits, from `transcribe` or edited by hand; those outside of the song are left out.
    settings : Settings
        Of the factorisation, see `Settings`.
    velocities : bool, optional
        True measures how strong each hit is in the song, False takes what the onsets say; None
        measures where all are equal.
    decays_s, iterations, power, velocity_rounds, free_iterations, win_s, most_frames : optional
        Changes of single settings, see `Settings`.

    Returns
    -------
    DrumParts
        Five stems that sum to the song, rendered when they are asked for. Classes without hits have
        silent ones and take no part; without any hit all of the song is in "toms".

    Raises
    ------
    InputError
        For a class that is not in `DRUM_CLASSES`.
    """
    song, given = as_song(song), locals()
    changes = {f.name: given[f.name] for f in fields(Settings) if given[f.name] is not None}
    settings = changed(settings, **changes) if changes else settings
    if unknown := sorted(set(onsets.classes) - set(CLASSES)):
        raise InputError(f"there is no drum class {unknown[0]!r}; choose {', '.join(CLASSES)}")
    onsets = _within(onsets, song.duration_s)
    window, hop = _transform(song.sr, settings)
    n_frames = stft.n_frames(song.audio.shape[1], hop)
    freqs_hz = np.arange(len(window) // 2 + 1) * song.sr / len(window)
    if velocities is None:
        velocities = len(set(onsets.velocity.tolist())) < 2
    owners = tuple(name for name in CLASSES for _ in settings.decays_of(name))
    W, H = np.zeros((len(freqs_hz), len(owners))), np.zeros((len(owners), n_frames))
    if len(onsets.times_s) and song.audio.any():
        frames = _frames_to_learn_from(onsets, n_frames, hop / song.sr, settings.most_frames)
        V = _magnitudes(song, window, hop, frames)
        if velocities:
            onsets = _measured(V, frames, onsets, song, settings, window, hop, n_frames)
        H = _activations(onsets, song, settings, window, hop, n_frames)
        playing = H.max(axis=1) > _FLOOR
        W[:, playing], H = _learned(V, frames, H, playing, settings)
    stems = Stems(song, W, H, owners, settings.power, window, hop)
    return DrumParts(
        stems, onsets, W, H, freqs_hz, grids.frame_times_s(n_frames, hop, song.sr), owners
    )


def activations(onsets: DrumOnsets, song: SongOrPath, settings: Settings = SETTINGS) -> np.ndarray:
    """What `separate` holds fixed.

    Parameters
    ----------
    onsets : DrumOnsets
        The hits.
    song : Song, str or path
        Whose length and rate it has.
    settings : Settings
        Whose decays, window and hop are taken.

    Returns
    -------
    numpy.ndarray
        H (parts, time) >= 0 at the frames of the transform; rows of classes without hits are 0.
    """
    song = as_song(song)
    window, hop = _transform(song.sr, settings)
    onsets = _within(onsets, song.duration_s)
    return _activations(
        onsets, song, settings, window, hop, stft.n_frames(song.audio.shape[1], hop)
    )


def _within(onsets, seconds):
    inside = (onsets.times_s >= 0) & (onsets.times_s < seconds)
    return DrumOnsets(
        onsets.times_s[inside], np.array(onsets.classes, object)[inside], onsets.velocity[inside]
    )


def _transform(sr, settings):
    length = max(64, 2 ** round(np.log2(settings.win_s * sr)))
    return signal.get_window("hann", length).astype(np.float32), length // 4


def _activations(onsets, song, settings, window, hop, n_frames):
    """H: each hit's decay on a grid finer than the hop, the root of its energy in each window."""
    step = hop // _FINE
    points = n_frames * _FINE
    spread = window[::step].astype(float) ** 2
    spread /= spread.sum()
    hats_s = np.sort(
        np.concatenate([onsets.of_class("open_hihat"), onsets.of_class("closed_hihat")])
    )
    names = np.array(onsets.classes, dtype=object)
    rows = []
    for name in CLASSES:
        mine = names == name
        for decay_s in settings.decays_of(name):
            level = np.zeros(points)
            length_s = 7 * decay_s
            for time_s, velocity in zip(onsets.times_s[mine], onsets.velocity[mine], strict=True):
                first = int(np.ceil(time_s * song.sr / step))
                stop = min(first + int(length_s * song.sr / step) + 1, points)
                after_s = np.arange(first, stop) * step / song.sr - time_s
                fall = max(velocity, 1e-3) * np.exp(-after_s / decay_s)
                if name == "open_hihat":  # closed by the next stroke on the hi-hat
                    closes_s = np.min(hats_s, initial=np.inf, where=hats_s > time_s + 1e-3) - time_s
                    fall *= np.exp(-np.maximum(after_s - closes_s, 0) / _CHOKE_S)
                np.maximum(level[first:stop], fall, out=level[first:stop])
            # the window's middle is at half its length: "same" would count from a point before
            row = signal.oaconvolve(level**2, spread)[len(spread) // 2 :][:points:_FINE]
            row = np.sqrt(np.maximum(row, 0))
            rows.append(row + _FLOOR if mine.any() else row)
    return np.array(rows)


def _frames_to_learn_from(onsets, n_frames, hop_s, most):
    """Indices of all frames or, where they are too many, of those around hits.

    As many hits of each class, spread over the song.
    """
    if n_frames <= most:
        return np.arange(n_frames)
    kinds = sorted(set(onsets.classes))
    around = np.arange(-2, round(0.35 / hop_s))
    hits_each = max(1, most // (len(kinds) * len(around)))
    chosen = []
    for kind in kinds:
        times_s = onsets.of_class(kind)
        times_s = times_s[
            np.linspace(0, len(times_s) - 1, min(hits_each, len(times_s))).round().astype(int)
        ]
        chosen.append((np.round(times_s / hop_s)[:, None] + around).ravel())
    chosen = np.unique(np.concatenate(chosen).astype(int))
    return chosen[(chosen >= 0) & (chosen < n_frames)]


def _runs(frames, most=512):
    """Stretches [(first, stop)] of consecutive frames, none longer than `most`."""
    edges = np.flatnonzero(np.diff(frames) != 1) + 1
    for part in np.split(frames, edges):
        for n in range(0, len(part), most):
            yield part[n], part[min(n + most, len(part)) - 1] + 1


def _magnitudes(song, window, hop, frames):
    """Root of the mean power of all channels, float64 (freq, len(frames)).

    In the mean of the channels themselves opposite ones would cancel.
    """
    V = np.empty((len(window) // 2 + 1, len(frames)))
    at = 0
    for first, stop in _runs(frames):
        spectra = stft.stft(
            song.audio, window=window, hop_samples=hop, first_frame=first, frames=stop - first
        )
        V[:, at : at + stop - first] = np.sqrt(np.mean(spectra.real**2 + spectra.imag**2, axis=0))
        at += stop - first
    return V


def _learned(V, frames, H, playing, settings):
    """(W of the parts that play, H of all) after the updates."""
    held = H[playing][:, frames]
    W = _templates(V, held, settings.iterations)
    if settings.free_iterations:
        # only the frames that were learned from know better; elsewhere H stays as drawn
        both = nmf.factorise(V, W=W, H=held, iterations=settings.free_iterations, traced=False)
        H = H.copy()
        H[np.ix_(playing, frames)] = both.H
        W = both.W
    return W, H


def _templates(V, H, iterations, W=None):
    """W (freq, parts) for V (freq, frames) and fixed H (parts, frames).

    KL updates from any start end at the same W. With H fixed no row of V knows of another: threads
    share them out.
    """
    rows = np.array_split(np.arange(len(V)), os.cpu_count() or 1)

    def learn(part):
        start = (
            np.full((len(part), len(H)), V[part].mean() / max(H.sum(axis=0).mean(), 1e-12))
            if W is None
            else W[part]
        )
        return nmf.factorise(
            V[part], W=start, H=H, fix_H=True, iterations=iterations, traced=False
        ).W

    with ThreadPoolExecutor(len(rows)) as pool:  # NumPy works outside Python's lock
        return np.concatenate(list(pool.map(learn, rows)))


def _measured(V, frames, onsets, song, settings, window, hop, n_frames):
    """The onsets with velocities that fit V.

    Two updates of H at a time tell each hit by how much it is too weak or too strong. W comes from
    the frames to learn from; the last round looks at all frames, so that every hit is measured. The
    loudest hit of a class has velocity 1.
    """
    names, velocity, W = np.array(onsets.classes, dtype=object), np.ones(len(onsets.times_s)), None
    owners = np.array([n for n in CLASSES for _ in settings.decays_of(n)], dtype=object)
    first_frames = np.round(onsets.times_s * song.sr / hop).astype(int)
    ahead = np.arange(max(2, round(0.06 * song.sr / hop)))
    for n in range(settings.velocity_rounds):
        H = _activations(changed(onsets, velocity=velocity), song, settings, window, hop, n_frames)
        playing = H.max(axis=1) > _FLOOR
        H = H[playing]
        W = _templates(V, H[:, frames], 20, W)
        was, now = np.zeros_like(H), np.zeros_like(H)
        parts = [(frames, V)]
        if n == settings.velocity_rounds - 1 and len(frames) < n_frames:
            blocks = (np.arange(a, b) for a, b in _runs(np.arange(n_frames), 2048))
            parts = ((block, _magnitudes(song, window, hop, block)) for block in blocks)
        for at, spectra in parts:
            was[:, at] = H[:, at]
            now[:, at] = nmf.factorise(
                spectra, W=W, H=H[:, at], fix_W=True, iterations=2, traced=False
            ).H
        loudness = W.sum(axis=0)[:, None]
        was, now = was * loudness, now * loudness
        for hit, name in enumerate(names):
            cells = np.ix_(
                owners[playing] == name, np.minimum(first_frames[hit] + ahead, n_frames - 1)
            )
            if was[cells].sum() > 0:
                velocity[hit] *= np.clip(now[cells].sum() / was[cells].sum(), 0.1, 10)
        for name in set(names):
            velocity[names == name] /= max(velocity[names == name].max(), 1e-12)
        velocity = np.clip(velocity, 0.02, 1)
    return changed(onsets, velocity=velocity)
