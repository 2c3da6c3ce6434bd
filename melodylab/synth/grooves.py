"""Grooves and drum loops: bars of steps, played on a kit, in a room, through a mixing desk."""

import numpy as np
from scipy import signal

from melodylab.errors import InputError
from melodylab.records import DrumOnsets, Song
from melodylab.synth.instruments import DRUM_CLASSES, Hit
from melodylab.synth.kits import Kit, _check
from melodylab.synth.sounds import add, noise_band, ramp

# ---- grooves: bars of hits, times in sixteenths --------------------------------------------------

STYLES = ("rock", "funk", "shuffle", "four", "break", "trap", "half", "free")


_KICKS = {
    "rock": ((0, 8), (0, 8, 10), (0, 6, 8), (0, 7, 10), (0, 3, 8, 10), (0, 2, 8)),
    "funk": ((0, 3, 6, 10), (0, 2, 7, 10), (0, 7, 10, 13), (0, 3, 10), (0, 5, 6, 11, 14)),
    "shuffle": ((0, 8), (0, 6, 8), (0, 8, 14), (0, 4, 8, 12)),
    "four": ((0, 4, 8, 12), (0, 4, 8, 12, 14), (0, 4, 7, 8, 12)),
    "break": ((0, 2, 10, 11), (0, 2, 10), (0, 6, 10, 11), (0, 7, 8, 14)),
    "trap": ((0, 7, 10), (0, 3, 11), (0, 6, 9, 14), (0, 10, 13)),
    "half": ((0, 6), (0, 3, 10), (0, 2, 14), (0, 11)),
}


_SNARES = {"break": ((4, 7, 9, 12), (4, 12), (4, 9, 12, 15)), "trap": ((8,),), "half": ((8,),)}


_BACKBEAT = ((4, 12),)


def tempi_bpm(style: str) -> tuple[float, float]:
    """Between which tempi a style is played.

    Parameters
    ----------
    style : str
        One of `STYLES`.

    Returns
    -------
    tuple of float
        Lowest and highest, beats a minute.
    """
    return {"trap": (60, 85), "half": (60, 100), "four": (110, 140), "shuffle": (80, 150)}.get(
        style, (75, 175)
    )


def groove(style: str, bars: int, rng: np.random.Generator) -> list[Hit]:
    """Bars of a style, as they are written.

    Parameters
    ----------
    style : str
        One of `STYLES`.
    bars : int
        How many, of sixteen sixteenths.
    rng : numpy.random.Generator
        Draws patterns, fills and accents.

    Returns
    -------
    list of Hit
        `time_s` in sixteenths; `tune` counts a class's voices (toms...) from 0.
    """
    if style == "free":
        density = rng.beta(1.2, 3, len(DRUM_CLASSES))
        pattern = {
            kind: np.flatnonzero(rng.random(16) < d)
            for kind, d in zip(DRUM_CLASSES, density, strict=True)
        }
        pattern["closed_hihat"] = (
            np.arange(0, 16, int(rng.choice([1, 2, 2, 4])))
            if rng.random() < 0.6
            else pattern["closed_hihat"]
        )
    else:
        kicks, snares = _KICKS[style], _SNARES.get(style, _BACKBEAT)
        step = {"trap": 1, "funk": int(rng.choice([1, 2])), "shuffle": 2, "half": 2}.get(
            style, int(rng.choice([2, 2, 1, 4]))
        )
        pattern = {
            "kick": kicks[rng.integers(len(kicks))],
            "snare": snares[rng.integers(len(snares))],
            "closed_hihat": np.arange(0, 16, step),
            "open_hihat": rng.choice([2, 6, 10, 14, 15, 7], int(rng.integers(0, 3)), replace=False),
            "toms": rng.choice(16, int(rng.integers(1, 5)), replace=False)
            if rng.random() < 0.45
            else (),
        }
        if rng.random() < 0.25:  # the foot doubles the snare
            pattern["kick"] = sorted({*pattern["kick"], *pattern["snare"]})
        if style == "four" and rng.random() < 0.6:  # the offbeat is open
            pattern["open_hihat"] = (2, 6, 10, 14)
            pattern["closed_hihat"] = [i for i in pattern["closed_hihat"] if i % 4 != 2]
    ghosts = rng.choice([0, 0, 0.1, 0.3]) if style in ("funk", "break", "rock", "free") else 0
    soft, accent = rng.uniform(0.3, 0.9), rng.uniform(0.7, 1)
    fill_every = int(rng.choice([0, 1, 2, 4], p=(0.2, 0.2, 0.3, 0.3)))
    voices = {kind: int(rng.integers(8)) for kind in DRUM_CLASSES}
    hits = []
    for bar in range(bars):
        fills = fill_every and bar % fill_every == fill_every - 1
        end = int(rng.choice([8, 12, 14])) if fills else 16
        for kind in DRUM_CLASSES:
            for i in pattern[kind]:
                if kind == "closed_hihat" and i in pattern["open_hihat"]:
                    continue
                if i < end and rng.random() < 0.95:
                    strong = accent if i % 4 == 0 else soft
                    velocity = strong if "hihat" in kind else rng.uniform(0.7, 1)
                    voice = voices[kind] if kind != "toms" else voices[kind] + int(rng.integers(2))
                    hits.append(Hit(16 * bar + i, kind, velocity, voice))
        if rng.random() < 0.3:  # a kick that was not there before
            hits.append(Hit(16 * bar + int(rng.integers(end)), "kick", rng.uniform(0.5, 1), 0))
        for i in range(end):
            if ghosts and i not in pattern["snare"] and rng.random() < ghosts:
                hits.append(Hit(16 * bar + i, "snare", rng.uniform(0.12, 0.4), voices["snare"]))
            if style == "trap" and rng.random() < 0.1:  # a roll
                hits += [
                    Hit(16 * bar + i + part, "closed_hihat", rng.uniform(0.3, 0.8), 0)
                    for part in (1 / 3, 2 / 3)
                ]
        if fills:
            steps, snares = (
                np.arange(end, 16, rng.choice([0.5, 1, 1, 2])),
                rng.choice([0.1, 0.5, 0.9]),
            )
            for n, i in enumerate(steps):
                kind = "snare" if rng.random() < snares else "toms"
                hits.append(
                    Hit(
                        16 * bar + i,
                        kind,
                        rng.uniform(0.5, 1),
                        2 - 2 * n // max(len(steps), 1) if kind == "toms" else 0,
                    )
                )
                if rng.random() < 0.35:
                    hits.append(Hit(16 * bar + i, "kick", rng.uniform(0.6, 1), 0))
            if rng.random() < 0.6:  # the cymbal after a fill
                hits.append(Hit(16 * (bar + 1), "open_hihat", rng.uniform(0.8, 1), 1))
    return hits


# ---- the loop ------------------------------------------------------------------------------------

_ABSENT = {"kick": 0.06, "snare": 0.08, "open_hihat": 0.2, "closed_hihat": 0.12, "toms": 0.12}


_LEVELS_DB = {
    "kick": (0, 3),
    "snare": (-1, 3.5),
    "open_hihat": (-8, 5),
    "closed_hihat": (-8, 5),
    "toms": (-3, 4),
}


_SMALLEST_GAP_S = 0.018  # no drum is struck twice within


def drum_loop(seed: int = 0, seconds: float = 8.0, *, sr: int = 44100) -> Song:
    """A loop of drums and its truth. Same seed, same bits.

    Parameters
    ----------
    seed : int
        Draws kit, groove and mix; 0 or more.
    seconds : float
        Length, at least 0.1.
    sr : int
        Rate in Hz, at least 8000.

    Returns
    -------
    Song
        Mono, peak 0.8, with the five stems of `DRUM_CLASSES`, silent where a class does not play;
        they sum to the mix exactly, in any order. `onsets` are those of the sounds' first samples,
        velocities 0..1.

    Raises
    ------
    InputError
        For a length, rate or seed below these.
    """
    _check(seed, sr)
    if not 0.1 <= seconds < np.inf:
        raise InputError(f"give drum_loop seconds >= 0.1, not {seconds}")
    sr, samples = int(sr), round(seconds * int(sr))
    rng, kit = np.random.default_rng([seed, 9]), Kit(seed, int(sr))
    hits = _played(rng, seconds)
    stems, onsets = _struck(hits, kit, samples, sr, rng)
    stems = _mixed(stems, rng, sr)
    fade = ramp((samples - np.arange(samples)) / (0.005 * sr))
    peak = np.abs(sum(stems.values()) * fade).max()
    scale = 0.8 / peak if peak > 0 else 0.0
    # float32 sums of multiples of 2 ** -22 are exact, whatever their order
    stems = {
        k: (np.round(stems[k] * fade * scale * 2**22) / 2**22).astype(np.float32)[None]
        for k in DRUM_CLASSES
    }
    return Song(sum(stems.values()), sr, f"loop-{seed}", stems, None, onsets)


def _played(rng, seconds):
    """A groove as somebody plays it: swing, haste, uneven strokes. At least one hit, in order."""
    style = STYLES[rng.integers(len(STYLES))]
    sixteenth_s = 15 / rng.uniform(*tempi_bpm(style))
    swing = 1 / 3 if style == "shuffle" else rng.choice([0, 0, 0.1, 0.2, 0.3])
    haste_s, uneven = rng.choice([0, 0.003, 0.006, 0.012]), rng.uniform(0.02, 0.2)
    drag_s = dict(zip(DRUM_CLASSES, rng.normal(0, 0.004, 5), strict=True))
    bars = int(np.ceil(seconds / (16 * sixteenth_s)))
    start_s = rng.uniform(0, 0.3) if rng.random() < 0.3 else 0.0
    hits = groove(style, bars, rng)
    absent = [kind for kind in DRUM_CLASSES if rng.random() < _ABSENT[kind]]
    kept = [hit for hit in hits if hit.kind not in absent] or hits
    last, played = {}, []
    unit = 2 if style == "shuffle" or rng.random() < 0.3 else 1  # eighths or sixteenths are swung
    for hit in sorted(kept):
        late = swing * unit if int(hit.time_s // unit) % 2 else 0
        time_s = (
            (hit.time_s + late) * sixteenth_s + rng.normal(0, haste_s) + drag_s[hit.kind] + start_s
        )
        time_s = max(time_s, 0.0)
        velocity = float(np.clip(hit.velocity * np.exp(rng.normal(0, uneven)), 0.08, 1))
        if time_s >= seconds or abs(time_s - last.get(hit.kind, -1)) < _SMALLEST_GAP_S:
            continue
        last[hit.kind] = time_s
        played.append(hit._replace(time_s=time_s, velocity=velocity))
        if hit.kind == "snare" and hit.velocity > 0.6 and rng.random() < 0.03:  # a flam
            played.append(
                hit._replace(
                    time_s=max(time_s - rng.uniform(0.02, 0.04), 0), velocity=0.4 * velocity
                )
            )
    return sorted(played) or [kept[0]._replace(time_s=0.0)]


def _struck(hits, kit, samples, sr, rng):
    """Dry stems {class: (samples,)}, their `DrumOnsets`. A stroke on a hi-hat ends an open one."""
    stems, onsets = {kind: np.zeros(samples) for kind in DRUM_CLASSES}, []
    hats_s = np.array([hit.time_s for hit in hits if "hihat" in hit.kind])
    chokes = rng.random() < 0.9
    for hit in hits:
        start = round(hit.time_s * sr)
        if start >= samples:
            continue
        names = kit.of_kind(hit.kind)
        name = names[int(hit.tune) % len(names)]
        sound = kit.voices[name].level * kit.voices[name].sound(
            hit.velocity, int(rng.integers(100))
        )
        if name == "open hi-hat" and chokes:
            closes_s = np.min(hats_s, initial=np.inf, where=hats_s > hit.time_s + 1e-3) - hit.time_s
            sound = sound * ramp((closes_s + 0.005 - np.arange(len(sound)) / sr) / 0.015)
        add(stems[hit.kind], sound, start / sr, sr)
        onsets.append((start / sr, hit.kind, hit.velocity))
    times_s, classes, velocity = zip(*sorted(onsets), strict=True) if onsets else ((), (), ())
    return stems, DrumOnsets(np.array(times_s, float), classes, np.array(velocity, float))


def _mixed(stems, rng, sr):
    """Levels, equalisers, a room, compression, saturation; what comes back sums to the mix."""
    samples = len(stems["kick"])
    wet = rng.uniform(0, 0.3) * rng.choice([0, 1, 1, 2])
    t = np.arange(round(rng.uniform(0.1, 0.9) * sr)) / sr
    echo = noise_band(rng, len(t), rng.uniform(100, 400), rng.uniform(2500, 9000), sr) * np.exp(
        -6.9 * t / t[-1]
    )
    echo *= wet / np.linalg.norm(echo)
    echo[: round(rng.uniform(0, 0.02) * sr)] = 0
    echo[0] = 1
    lofi_hz = rng.uniform(3000, 9000) if rng.random() < 0.15 else None
    for kind in DRUM_CLASSES:
        if not stems[kind].any():
            continue
        mean_db, spread_db = _LEVELS_DB[kind]
        sound = stems[kind] * 10 ** (
            np.clip(rng.normal(mean_db, spread_db), mean_db - 9, mean_db + 9) / 20
        )
        centre_hz, gain_db = (
            np.exp(rng.uniform(np.log(80), np.log(min(8000, 0.4 * sr)))),
            rng.normal(0, 4),
        )
        sound = _peaking(sound, centre_hz, gain_db, sr)
        if wet:
            sound = signal.oaconvolve(sound, echo)[:samples]
        if lofi_hz and lofi_hz < 0.45 * sr:
            sound = signal.sosfilt(signal.butter(3, lofi_hz, fs=sr, output="sos"), sound)
        stems[kind] = sound
    mix = sum(stems.values())
    level = np.abs(mix).max() or 1.0
    gain = np.full(samples, 1 / level)
    if rng.random() < 0.6:
        threshold_db, ratio, attack_s, release_s = (
            rng.uniform(*r) for r in ((-24, -6), (1.5, 6), (0.003, 0.03), (0.05, 0.3))
        )
        gain *= _compression(mix / level, threshold_db, ratio, attack_s, release_s, sr)
    if rng.random() < 0.4:
        driven = rng.uniform(0.5, 4) * mix * gain
        gain *= np.where(
            np.abs(driven) > 1e-6, np.tanh(driven) / np.where(driven == 0, 1, driven), 1
        )
    return {kind: stem * gain for kind, stem in stems.items()}


def _peaking(sound, centre_hz, gain_db, sr):
    """A bell in the spectrum, `gain_db` high at `centre_hz` and about an octave and a half wide."""
    a, w = 10 ** (gain_db / 40), 2 * np.pi * centre_hz / sr
    alpha = np.sin(w) / 1.4
    return signal.lfilter(
        [1 + alpha * a, -2 * np.cos(w), 1 - alpha * a],
        [1 + alpha / a, -2 * np.cos(w), 1 - alpha / a],
        sound,
    )


def _compression(mix, threshold_db, ratio, attack_s, release_s, sr):
    """A compressor's gain over time, (samples,): down above the threshold, and up again."""
    step = 64
    blocks = -(-len(mix) // step)
    peaks = np.abs(np.pad(mix, (0, blocks * step - len(mix)))).reshape(blocks, step).max(axis=1)
    wanted_db = -np.maximum(20 * np.log10(np.maximum(peaks, 1e-6)) - threshold_db, 0) * (
        1 - 1 / ratio
    )
    down, up = (1 - np.exp(-step / (sr * s)) for s in (attack_s, release_s))
    gain_db, state = np.empty(blocks), 0.0
    for n, wanted in enumerate(wanted_db):
        state += (down if wanted < state else up) * (wanted - state)
        gain_db[n] = state
    return 10 ** (np.interp(np.arange(len(mix)), step * np.arange(blocks), gain_db) / 20)
