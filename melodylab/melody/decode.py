"""From a salience to one pitch per frame and a decision whether anything is sung.

Conventions: every frame gets its best pitch, also where nothing is sung. voicing = p / (p + u), the
evidence for the best pitch against the evidence for "no melody" (`salience.unvoiced`, or one
constant `threshold` where a method gives none), so that voicing >= 0.5 means the same for every
method. A frame without any evidence has no pitch (NaN) and voicing 0.
"""

import librosa
import numpy as np
from scipy.ndimage import gaussian_filter1d

from melodylab.dsp.grids import hz_to_midi, midi_to_hz
from melodylab.records import Melody, Salience

_TINY = 1e-12


_FRAME_WEIGHT = 0.25  # windows of 46 ms, 12 ms apart: a frame brings a quarter that is new


def peak(salience: Salience, *, threshold: float = 0.3) -> Melody:
    """Each frame alone: the strongest pitch, voiced if it is stronger than "no melody".

    This is the decoding of the papers that publish salience figures; jumps and octave slips stay.

    Parameters
    ----------
    salience : Salience
        Of any method.
    threshold : float
        The evidence for "no melody" where the salience tells none, on its own scale.

    Returns
    -------
    Melody
        On the frames of the salience.
    """
    # NumPy's argmax over the first axis copies everything
    strongest = [
        part.argmax(axis=0)
        for part in np.array_split(salience.values, 1 + len(salience.times_s) // 4096, axis=1)
    ]
    return _melody(salience, np.concatenate(strongest), _unvoiced(salience, threshold), threshold)


def viterbi(
    salience: Salience,
    *,
    jump_nats_per_semitone: float = 1.5,
    register_semitones: float | None = 6.0,
    register_s: float = 3.0,
    begin: float = 0.1,
    end: float = 0.1,
    threshold: float = 0.3,
) -> Melody:
    """The smoothest strong line through the salience, then voiced and unvoiced stretches along it.

    Line: states are the pitches; moving costs against the logarithm of the salience, at most ten
    semitones' worth. Voicing: a chain of two states along the line, whose unvoiced state is as
    reachable as any (trap T5); its posterior is the melody's voicing. Register: a voice stays in
    its range for seconds, so the line is drawn again, twice, with less weight far from where the
    line before ran on average.

    Parameters
    ----------
    salience : Salience
        Of any method.
    jump_nats_per_semitone : float
        The cost of moving.
    register_semitones : float, optional
        Width of the Gaussian around the average; None: the line is drawn once.
    register_s : float
        Over how many seconds the average runs.
    begin, end : float
        Probability that a phrase begins, or ends, in a frame.
    threshold : float
        The evidence for "no melody" where the salience tells none, on its own scale.

    Returns
    -------
    Melody
        On the frames of the salience.

    Notes
    -----
    Source: the tracker of Durrieu 2011 and, for the register, the melody mean of Salamon and Gomez
    2012; splitting off the voicing, its posterior and the constants are ours.
    """
    values, unvoiced, frames = (
        salience.values,
        _unvoiced(salience, threshold),
        np.arange(salience.values.shape[1]),
    )
    line = _smoothest_line(values, salience.freqs_hz, jump_nats_per_semitone)
    for _ in range(2 if register_semitones else 0):
        voicing = _phrases(values[line, frames], unvoiced, begin, end)
        weight = _register(salience, line, voicing, register_semitones, register_s)
        values = salience.values * weight
        # a frame keeps its level; only which pitch has it may change
        values *= salience.values.max(axis=0) / np.maximum(values.max(axis=0), _TINY)
        line = _smoothest_line(values, salience.freqs_hz, jump_nats_per_semitone)
    return _melody(
        salience,
        line,
        unvoiced,
        threshold,
        voicing=_phrases(values[line, frames], unvoiced, begin, end),
    )


def _unvoiced(salience, threshold):
    return (
        np.full(salience.values.shape[1], threshold)
        if salience.unvoiced is None
        else salience.unvoiced
    )


def _smoothest_line(values, freqs_hz, jump_nats_per_semitone):
    """Viterbi over pitches by librosa: bins (frames,) of the best line."""
    midi = hz_to_midi(freqs_hz)
    moves = np.exp(-jump_nats_per_semitone * np.minimum(np.abs(midi[:, None] - midi), 10))
    moves /= moves.sum(axis=1, keepdims=True)
    # only the shape of a frame matters to the line; a frame without evidence lets it pass
    top = values.max(axis=0)
    shape = np.where(top > 0, values / np.maximum(top, _TINY), 1)
    return librosa.sequence.viterbi(np.clip(shape, 1e-6, 1), moves)


def _register(salience, line, voicing, register_semitones, register_s):
    """Weights (freq, time) around the line's own average, voiced frames counting most."""
    midi, times_s = hz_to_midi(salience.freqs_hz), salience.times_s
    frames = register_s / np.median(np.diff(times_s)) if len(times_s) > 1 else 1.0
    weight = voicing + 1e-3
    mean = gaussian_filter1d(midi[line] * weight, frames) / gaussian_filter1d(weight, frames)
    distance = (midi[:, None].astype(np.float32) - mean.astype(np.float32)) / np.float32(
        register_semitones
    )
    return np.exp(-0.5 * distance**2)


def _phrases(voiced, unvoiced, begin, end):
    """Posterior of "voiced" in a two-state chain, forward and backward: (frames,) in 0..1."""
    # overlapping frames tell much the same; at full weight all of them would be near 0 or 1
    evidence = (np.stack([unvoiced, voiced], axis=1).astype(float) + _TINY) ** _FRAME_WEIGHT
    evidence /= evidence.sum(axis=1, keepdims=True)
    moves = np.array([[1 - begin, begin], [end, 1 - end]])
    forward, backward = np.empty_like(evidence), np.empty_like(evidence)
    state = np.array([0.5, 0.5])
    for n in range(len(evidence)):
        state = (state @ moves) * evidence[n]
        state = forward[n] = state / state.sum()
    state = np.ones(2)
    for n in range(len(evidence) - 1, -1, -1):
        backward[n] = state
        state = moves @ (state * evidence[n])
        state /= state.sum()
    posterior = forward * backward
    return posterior[:, 1] / posterior.sum(axis=1)


def _melody(salience, line, unvoiced, threshold, voicing=None):
    """Read the line off the salience, between bins by the centre of gravity within 40 cents of it.

    Where bins are semitones, neighbours are other notes and the pitch is that of the bin.
    """
    values, frames = salience.values, np.arange(len(line))
    chosen = values[line, frames]
    if voicing is None:
        voicing = chosen / np.maximum(chosen + unvoiced, _TINY)
    midi = hz_to_midi(salience.freqs_hz)
    reach = min(2, int(0.41 / np.diff(midi).min())) if len(midi) > 1 else 0  # bins
    rows = np.clip(line + np.arange(-reach, reach + 1)[:, None], 0, len(values) - 1)
    weight = values[rows, frames] + _TINY
    f0_hz = midi_to_hz((midi[rows] * weight).sum(axis=0) / weight.sum(axis=0))
    heard = values.max(axis=0) > 0
    return Melody(salience.times_s, np.where(heard, f0_hz, np.nan), np.where(heard, voicing, 0.0))


def revoiced(melody: Melody, threshold: float) -> Melody:
    """The same pitches, voiced where `voicing >= threshold` and there is a pitch.

    Parameters
    ----------
    melody : Melody
        Whose pitches are kept.
    threshold : float
        The voicing from which on a frame counts as sung, 0..1.

    Returns
    -------
    Melody
        With a voicing of 0 or 1.
    """
    voiced = (melody.voicing >= threshold) & np.isfinite(melody.f0_hz)
    return Melody(melody.times_s, melody.f0_hz, voiced.astype(float))
