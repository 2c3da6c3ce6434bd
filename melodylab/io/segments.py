"""A pitch line cut into notes: steps, what is too short for one, slides. Serves `io.midi`."""

import numpy as np

# What a change of note costs, in semitones times seconds off the line: a semitone up and back is an
# ornament below 0.1 s. Vibrato of 4.5 to 7 Hz and a semitone to either side stays one note.
_CHANGE = 0.05
_FARTHEST = 2.0  # semitones off the line that count: how far a slip goes does not matter
_GLIDE = 0.25  # semitones between a note's first and last third, if it slides
_SLIDE_SEMITONES = 2  # one note of a slow slide covers so many


def _steps(midi, hop_s, spacing):
    """[(first, end, level)]: the line of levels `spacing` semitones apart nearest to `midi`.

    Least sum of distance times seconds plus _CHANGE for each change, by dynamic programming.
    """
    low = np.floor(midi.min() / spacing)
    levels = spacing * np.arange(low, np.ceil(midi.max() / spacing) + 1)
    cost = np.zeros(len(levels))
    changed, best = np.zeros((len(midi), len(levels)), dtype=bool), np.zeros(len(midi), int)
    for n, pitch in enumerate(midi):
        best[n] = np.argmin(cost)
        changed[n] = cost > cost[best[n]] + _CHANGE
        cost = np.minimum(cost, cost[best[n]] + _CHANGE)
        cost = cost + hop_s * np.minimum(np.abs(levels - pitch), _FARTHEST)
    at, end, parts = int(np.argmin(cost)), len(midi), []
    for n in range(len(midi) - 1, -1, -1):
        if n == 0 or changed[n, at]:
            parts.append((n, end, float(levels[at])))
            at, end = int(best[n]), n
    return parts[::-1]


def _short_joined(parts, min_frames, change_frames):
    """The same without short parts: each goes to the neighbour nearest in pitch.

    The first and the last part could change once for half the price: they last `change_frames`.
    """
    parts = list(parts)

    def missing(n):
        wanted = change_frames if n in (0, len(parts) - 1) else min_frames
        return max(wanted, min_frames) - (parts[n][1] - parts[n][0])

    while len(parts) > 1:
        n = max(range(len(parts)), key=missing)
        if missing(n) <= 1e-6:
            break
        beside = [i for i in (n - 1, n + 1) if 0 <= i < len(parts)]
        to = min(beside, key=lambda i: (abs(parts[i][2] - parts[n][2]), parts[i][0] - parts[i][1]))
        a, b = min(n, to), max(n, to)
        parts[a : b + 1] = [(parts[a][0], parts[b][1], parts[to][2])]
        for first in (a, a - 1):  # what it parted is one again
            if 0 <= first < len(parts) - 1 and parts[first][2] == parts[first + 1][2]:
                (start, _, level), (_, end, _) = parts[first : first + 2]
                parts[first : first + 2] = [(start, end, level)]
    return parts


def _slides_joined(parts, midi):
    """[(first, end)]: neighbours a semitone apart that slide the same way are one note."""

    def glide(first, end):
        third = max(1, (end - first) // 3)
        return np.median(midi[end - third : end]) - np.median(midi[first : first + third])

    groups = []
    for a, b, level in parts:
        slides = glide(a, b)
        if groups:
            first, _, lowest, highest, last, before = groups[-1]
            way = level - last
            low, high = min(lowest, level), max(highest, level)
            near = abs(way) == 1 and high - low <= _SLIDE_SEMITONES
            if near and before * way > _GLIDE and slides * way > _GLIDE:
                groups[-1] = (first, b, low, high, level, slides)
                continue
        groups.append((a, b, level, level, level, slides))
    return [group[:2] for group in groups]
