"""Parts played by fluidsynth from a General MIDI soundfont, where both are installed (Debian.

Fluidsynth, fluid-soundfont-gm).
"""

import shutil
import subprocess
import tempfile
from pathlib import Path

import numpy as np

from melodylab.errors import InputError
from melodylab.io import audio, midi
from melodylab.synth.instruments import Hit
from melodylab.synth.sounds import Note

_FONTS = ("FluidR3_GM.sf2", "TimGM6mb.sf2", "default-GM.sf2")
_FOLDERS = (
    "/usr/share/sounds/sf2",
    "/usr/share/soundfonts",
    "/usr/local/share/sounds/sf2",
    "/opt/homebrew/share/soundfonts",
)
_PROGRAMS = {  # of General MIDI, from 0
    "chords": (0, 4, 5, 16, 18, 21, 24, 25, 26, 27, 48, 50, 88, 89),
    "bass": (32, 33, 34, 35, 38),
    "riff": (4, 25, 26, 27, 28, 56, 61, 65, 80, 81),
    "driven": (26, 27),  # clean: the amplifier is ours
    # leads, low and high: electric guitars twice as often as the rest
    "low lead": (24, 25, 26, 27, 27, 26, 4, 57, 66, 71),
    "high lead": (27, 29, 30, 27, 29, 30, 22, 40, 56, 64, 65, 73, 81),
}
_BENDS_HZ = 100  # how often a line is bent
_DRUMS = midi.DRUM_NOTES | {"toms": 47}  # the tom that the shipped weights learned from
_GAP_S = 3.0  # between the parts, for what rings on


def find() -> Path:
    """Where a General MIDI soundfont is.

    Returns
    -------
    Path

    Raises
    ------
    InputError
        Where it or fluidsynth is missing.
    """
    fonts = [
        Path(folder) / name
        for name in _FONTS
        for folder in _FOLDERS
        if (Path(folder) / name).is_file()
    ]
    if shutil.which("fluidsynth") is None or not fonts:
        raise InputError(
            "the ingredient soundfont needs fluidsynth and a General MIDI soundfont; install the "
            "packages fluidsynth and "
            "fluid-soundfont-gm, or set soundfont = 0"
        )
    return fonts[0]


def render(
    parts: dict[str, list[Note]],
    hits: list[Hit],
    samples: int,
    *,
    sr: int,
    rng: np.random.Generator,
    tuning: float = 0.0,
) -> dict[str, np.ndarray]:
    """Parts and hits as fluidsynth plays them, a random program each, in one run of it.

    Parameters
    ----------
    parts : dict
        Name to list of Note.
    hits : list of Hit
        The drum part; without any there are no "drums".
    samples : int
        Length of each track.
    sr : int
        Samples a second.
    rng : numpy.random.Generator
        What it draws from.
    tuning : float
        Semitones that everything is raised by.

    Returns
    -------
    dict
        Name to ndarray (samples,); the hits are "drums".
    """
    length_s = samples / sr + _GAP_S
    tracks, names = [], [*parts, *(["drums"] if hits else [])]
    for number, name in enumerate(names):
        if name == "drums":
            notes = [(h.time_s, h.time_s + 0.1, _DRUMS[h.kind], h.velocity) for h in hits]
        else:
            notes = [(n.start_s, n.end_s, round(n.midi), n.velocity) for n in parts[name]]
        program = 0 if name == "drums" else int(rng.choice(_PROGRAMS[name]))
        later = [
            (a + number * length_s, b + number * length_s, note, v)
            for a, b, note, v in notes
            if a < samples / sr
        ]
        tracks.append((program, name == "drums", later))
    y = _played(tracks, len(names) * length_s, sr, tuning=tuning)
    starts = [round(number * length_s * sr) for number in range(len(names))]
    return {name: y[start : start + samples] for name, start in zip(names, starts, strict=True)}


def render_line(
    notes: list[Note],
    midi_curve: np.ndarray,
    *,
    sr: int,
    rng: np.random.Generator,
    kind: str = "low lead",
) -> np.ndarray:
    """Notes struck in time by a random program, bent so that their pitch follows a curve.

    Parameters
    ----------
    notes : list of Note
        One after the other, in order of time.
    midi_curve : ndarray (samples,)
        MIDI numbers, with fractions.
    sr : int
        Samples a second.
    rng : numpy.random.Generator
        What it draws from.
    kind : str
        "low lead" or "high lead".

    Returns
    -------
    ndarray (samples,)
    """
    samples = len(midi_curve)
    notes = [n for n in notes if n.start_s < samples / sr]
    bends = []
    for number, note in enumerate(notes):
        stop_s = notes[number + 1].start_s if number + 1 < len(notes) else samples / sr
        at_s = np.arange(note.start_s, min(stop_s, note.end_s + 0.1, samples / sr), 1 / _BENDS_HZ)
        curve = midi_curve[np.minimum(np.round(at_s * sr).astype(int), samples - 1)]
        bends += list(zip(at_s, curve - round(note.midi), strict=True))
    struck = [(n.start_s, n.end_s, round(n.midi), n.velocity) for n in notes]
    return _played(
        [(int(rng.choice(_PROGRAMS[kind])), False, struck)], samples / sr, sr, bends=bends
    )[:samples]


def _played(tracks, seconds, sr, **bent):
    """(at least seconds * sr,): what fluidsynth makes of the tracks, mono."""
    font = find()
    with tempfile.TemporaryDirectory() as folder:
        score, sound = Path(folder) / "parts.mid", Path(folder) / "parts.wav"
        midi.write_parts(score, tracks, **bent)
        command = [
            "fluidsynth",
            "-ni",
            "-R",
            "0",
            "-C",
            "0",
            "-g",
            "0.5",
            "-r",
            str(sr),
            "-T",
            "wav",
            "-O",
            "s16",
            "-F",
            sound,
        ]
        done = subprocess.run(
            [*map(str, command), str(font), str(score)], capture_output=True, text=True
        )
        if done.returncode or not sound.is_file():
            raise InputError(
                f"fluidsynth could not play a part ({done.stderr.strip()[-200:]}); set "
                "soundfont = 0"
            )
        y, _ = audio.read(sound)
    return np.pad(y.mean(axis=0).astype(float), (0, round(seconds * sr)))
