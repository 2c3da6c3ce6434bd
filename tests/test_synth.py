"""The demo songs: is the truth that comes with them true?"""

import itertools

import numpy as np
import pytest

from melodylab import synth
from melodylab.dsp import grids
from melodylab.errors import InputError

SR = 22050


def spectrum_db(y, sr):
    y = y * np.hanning(len(y))
    return np.fft.rfftfreq(len(y), 1 / sr), 20 * np.log10(np.abs(np.fft.rfft(y)) / len(y) + 1e-12)


def band_energy(y, sr, low_hz, high_hz):
    f, db = spectrum_db(y, sr)
    return np.sum(10 ** (db[(f >= low_hz) & (f < high_hz)] / 10))


# ---- voices ----


@pytest.mark.parametrize("sr", [8000, 22050, 48000])
def test_pulses_hold_harmonics_and_nothing_else(sr):
    f0_hz = 200.0
    f, db = spectrum_db(synth.pulses(np.full(sr, f0_hz), sr), sr)
    harmonic = np.abs(f / f0_hz - np.round(f / f0_hz)) * f0_hz < 5  # Hann skirts
    top_hz = min(0.48 * sr, 14000)
    inside = harmonic & (f > 100) & (f < top_hz - f0_hz)
    assert np.all(
        np.abs(db[np.isin(f, np.arange(1, int(top_hz / f0_hz)) * f0_hz)] - -12.04) < 0.1
    )  # amplitude 1, Hann
    assert db[inside].max() - db[~harmonic].max() > 80


def test_the_voice_follows_its_f0_to_the_sample(rng):
    t = np.arange(2 * SR) / SR
    f0_hz = 220 * 2 ** (0.5 / 12 * np.sin(2 * np.pi * 6 * t))  # vibrato of 6 Hz and 50 cents
    y = synth.sing(f0_hz, np.ones(len(t)), synth.VOWELS_HZ["a"], sr=SR, rng=rng)

    def coherence(cents):
        """Share of the second harmonic's neighbourhood that stands still when the stated phase is
        taken out.
        """
        still = (
            y
            * np.exp(-4j * np.pi * np.cumsum(f0_hz * 2 ** (cents / 1200)) / SR)
            * np.hanning(len(t))
        )
        power = np.abs(np.fft.fft(still)) ** 2
        f = np.abs(np.fft.fftfreq(len(t), 1 / SR))
        return power[f < 1].sum() / power[f < 100].sum()

    assert coherence(0) > 0.99
    assert coherence(5) < 0.1 and coherence(-5) < 0.1


def test_vowels_put_the_energy_at_their_formants(rng):
    f0_hz, level = np.full(SR, 100.0), np.ones(SR)
    sung = {v: synth.sing(f0_hz, level, synth.VOWELS_HZ[v], sr=SR, rng=rng) for v in "aiou"}
    # the second formant: 2290 Hz in i, below 1100 Hz in o and u
    share = {
        v: band_energy(y, SR, 1900, 2600) / band_energy(y, SR, 50, 5000) for v, y in sung.items()
    }
    assert share["i"] > 20 * share["u"] and share["i"] > 20 * share["o"]
    response = np.abs(synth.vocal_tract(np.arange(50.0, 2000), np.array([synth.VOWELS_HZ["a"]])))[0]
    peaks_hz = (
        50 + 1 + np.flatnonzero((response[1:-1] > response[:-2]) & (response[1:-1] > response[2:]))
    )
    assert np.allclose(peaks_hz, [730, 1090], atol=25)


def test_formants_move_within_a_sound(rng):
    glide = np.linspace(synth.VOWELS_HZ["u"], synth.VOWELS_HZ["i"], 50)
    y = synth.sing(np.full(SR, 110.0), np.ones(SR), glide, sr=SR, rng=rng)
    parts = y[: SR // 4], y[-SR // 4 :]
    early, late = (
        band_energy(part, SR, 1900, 2600) / band_energy(part, SR, 50, 5000) for part in parts
    )
    assert late > 20 * early


def test_a_silent_level_is_silent_and_edges_do_not_click(rng):
    notes = [synth.Note(0.5, 1.0, 57), synth.Note(1.6, 2.4, 59)]
    line = synth.perform(notes, 3 * SR, sr=SR, rng=rng)
    y = synth.sing(line.f0_hz, line.level, line.formants_hz, sr=SR, rng=rng, breath=0 * line.level)
    assert np.abs(y[: int(0.45 * SR)]).max() == 0 and line.level[: int(0.45 * SR)].max() == 0
    assert np.abs(np.diff(line.level)).max() < 0.004  # 30 ms for a start
    jump, sounding = np.abs(np.diff(y)), line.level[1:] > 0.5
    edge = (line.level[1:] < 0.02) & (line.level[1:] > 0)
    assert edge.any() and jump[edge].max() < 0.1 * jump[sounding].max()
    assert jump[line.level[1:] == 0].max() < 0.1 * jump[sounding].max()


def test_a_performance_glides_between_its_notes_and_stays_on_them(rng):
    notes = [synth.Note(0.5, 1.1, 57), synth.Note(1.1, 1.7, 61), synth.Note(1.7, 2.6, 60)]
    line = synth.perform(notes, 3 * SR, sr=SR, rng=rng)
    for note in notes:
        middle = slice(round((note.start_s + 0.3) * SR), round((note.end_s - 0.15) * SR))
        off = grids.offset_cents(line.f0_hz[middle], grids.midi_to_hz(note.midi))
        assert abs(np.median(off)) < 25 and np.abs(off).max() < 90
    steps = np.abs(np.diff(grids.hz_to_midi(line.f0_hz)))[line.level[1:] > 0]
    assert steps.max() < 0.02  # semitones from sample to sample: it leaps only where it is silent
    assert synth.perform([], 1000, sr=SR, rng=rng).level.max() == 0


def test_partials_equal_the_plain_sum_and_stop_at_nyquist():
    t = np.arange(1000) / 8000
    plain = 0.7 * np.exp(-t / 0.1) * np.sin(2 * np.pi * 440 * t) + 0.2 * np.exp(-t / 0.05) * np.sin(
        2 * np.pi * 3000 * t
    )
    fast = synth.partials([440, 3000, 4000, 5000], [0.7, 0.2, 9, 9], [0.1, 0.05, 1, 1], 1000, 8000)
    assert np.abs(fast - plain).max() < 1e-12


@pytest.mark.parametrize("instrument", list(synth.INSTRUMENTS))
def test_instruments_are_in_tune_and_begin_and_end_softly(instrument):
    y = synth.struck(instrument, 220.0, 1.0, sr=SR)
    assert len(y) == round(1.15 * SR)
    f, db = spectrum_db(np.pad(y, (0, 8 * SR)), SR)
    near = (f > 200) & (f < 240)
    assert abs(grids.offset_cents(f[near][np.argmax(db[near])], 220.0)) < 10
    assert max(abs(y[0]), abs(y[-1])) < 0.01 * np.abs(y).max()


@pytest.mark.parametrize("sr", [8000, 22050, 44100])
def test_drum_hits_differ_as_drums_do(sr, rng):
    hits = {kind: synth.drum_hit(kind, sr=sr, rng=rng) for kind in synth.DRUM_CLASSES}
    assert all(np.abs(y).max() == pytest.approx(1) for y in hits.values())
    low = {
        kind: band_energy(y, sr, 0, 300) / band_energy(y, sr, 0, sr / 2) for kind, y in hits.items()
    }
    assert (
        low["kick"] > 0.9
        and low["toms"] > 0.9
        and low["closed_hihat"] < 0.02
        and low["open_hihat"] < 0.02
    )
    assert 0.1 < low["snare"] < 0.9
    ring = {kind: np.sum(y**2 * np.arange(len(y))) / np.sum(y**2) for kind, y in hits.items()}
    assert ring["open_hihat"] > 4 * ring["closed_hihat"]
    assert not np.array_equal(hits["snare"], synth.drum_hit("snare", sr=sr, rng=rng))
    with pytest.raises(InputError, match="cowbell.*kick"):
        synth.drum_hit("cowbell", sr=sr, rng=rng)


def test_drum_truth_is_exact_to_the_sample(rng):
    planted = (0.1, "kick", 0.9), (0.7, "toms", 0.5, 1.2), (2.0, "snare", 1.0), (9.0, "kick", 1.0)
    played = [synth.Hit(*hit) for hit in planted]
    track, onsets = synth.play_drums(played, 3 * SR, sr=SR, rng=rng)
    assert onsets.classes == ("kick", "toms", "snare")  # what starts after the end is not claimed
    assert np.allclose(onsets.times_s, [0.1, 0.7, 2.0], atol=0.5 / SR) and np.array_equal(
        onsets.velocity, [0.9, 0.5, 1.0]
    )
    for time_s in onsets.times_s:
        start = round(time_s * SR)
        before, after = (
            np.abs(track[start - 100 : start]).max(),
            np.abs(track[start : start + 30]).max(),
        )
        assert abs(time_s * SR - start) < 1e-6 and before == 0 and after > 0.01


def test_a_closing_hihat_ends_an_open_one(rng):
    open_hat, closed = synth.Hit(0.1, "open_hihat", 1), synth.Hit(0.3, "closed_hihat", 0)
    rings, _ = synth.play_drums([open_hat], SR, sr=SR, rng=np.random.default_rng(0))
    choked, _ = synth.play_drums([open_hat, closed], SR, sr=SR, rng=np.random.default_rng(0))
    late, early = slice(round(0.31 * SR), round(0.5 * SR)), slice(0, round(0.27 * SR))
    assert (
        np.array_equal(rings[early], choked[early])
        and np.abs(rings[late]).max() > 0.02
        and not choked[late].any()
    )


# ---- the composer ----


@pytest.mark.parametrize("seed", range(12))
def test_scores_obey_the_rules_they_state(seed):
    score, eighth_s = synth.compose(seed, 60), 30 / synth.compose(seed).tempo_bpm
    pitches = np.array([note.midi for note in score.melody])
    lowest = 57 if score.singer == "woman" else 45
    assert pitches.min() >= lowest and pitches.max() <= lowest + 16
    assert np.mean(np.abs(np.diff(pitches)) <= 4) > 0.7  # mostly steps and thirds
    starts = np.array([note.start_s for note in score.melody]) / eighth_s
    assert np.allclose(starts, np.round(starts), atol=1e-6)
    sung_bars, bars = set((np.round(starts) // 8).astype(int)), int(np.ceil(60 / (8 * eighth_s)))
    assert {0, 5, 13} & set(range(bars)) == {0, 5, 13} - sung_bars and {
        1,
        2,
        3,
        4,
        6,
        7,
        8,
    } <= sung_bars
    assert {hit.kind for hit in score.drums} == set(synth.DRUM_CLASSES)
    # strong beats sing a note of the chord that sounds there
    for note in score.melody:
        if round(note.start_s / eighth_s) % 4 == 0 and note.end_s < 60:
            bar_s = round(note.start_s / eighth_s) // 8 * 8 * eighth_s
            chord = {
                c.midi % 12
                for c in score.chords
                if bar_s - 1e-6 <= c.start_s < bar_s + 8 * eighth_s - 1e-6
            }
            assert note.midi % 12 in chord
    # the second phrase repeats the rhythm of the first
    first, second = (
        [round(s % 16) for s in starts if a <= s < a + 16] for a in (8 - 1e-3, 24 - 1e-3)
    )
    assert [(s - 8) % 16 for s in first] == [(s - 8) % 16 for s in second]


def test_a_longer_score_begins_with_the_shorter_one():
    short, long = synth.compose(3, 10), synth.compose(3, 40)
    assert (
        long.melody[: len(short.melody)] == short.melody
        and long.chords[: len(short.chords)] == short.chords
    )
    assert set(short.drums) <= set(long.drums) and len(long.melody) > 2 * len(short.melody)


# ---- the song ----


def test_stems_sum_to_the_mix_in_any_order(demo):
    assert list(demo.stems) == ["melody", "chords", "bass", "drums"] and demo.channels == 1
    for order in itertools.permutations(demo.stems.values()):
        assert np.array_equal(((order[0] + order[1]) + order[2]) + order[3], demo.audio)
    assert np.abs(demo.audio).max() == pytest.approx(0.8, abs=1e-5)
    assert all(np.abs(stem).max() > 0.02 for stem in demo.stems.values())


def test_truth_lies_on_the_one_frame_clock(demo):
    samples = demo.audio.shape[1]
    assert samples == 6 * SR and len(demo.melody) == 1 + samples // 256
    assert np.array_equal(demo.melody.times_s, np.arange(len(demo.melody)) * 256 / SR)
    assert np.array_equal(np.isnan(demo.melody.f0_hz), demo.melody.voicing == 0)
    assert (
        set(np.unique(demo.melody.voicing)) == {0.0, 1.0} and 0.2 < demo.melody.voiced.mean() < 0.9
    )


@pytest.mark.parametrize("seed", [0, 1])
def test_harmonics_of_the_melody_stem_peak_at_the_label(seed):
    """Measured from outside.

    For each steady frame the pitch whose twelve harmonics hold most energy.
    """
    song = synth.demo_song(seed, 10)
    y, f0_hz, hop = song.stems["melody"][0], song.melody.f0_hz, 256
    cents, found = np.arange(-60, 61, 4), []
    for frame in range(2, len(song.melody) - 3, 5):
        around = f0_hz[frame - 2 : frame + 3]
        if np.isnan(around).any() or np.ptp(around) > 0.01 * f0_hz[frame]:
            continue
        part = y[frame * hop - 512 : frame * hop + 512] * np.hanning(1024)
        power = np.abs(np.fft.rfft(part, 2**16)) ** 2
        tries_hz = f0_hz[frame] * 2 ** (cents / 1200)
        combs_hz = np.outer(tries_hz, np.arange(1, 13))
        found.append(
            cents[
                np.argmax(
                    np.interp(combs_hz, np.arange(len(power)) * SR / 2**16, power).sum(axis=1)
                )
            ]
        )
    assert len(found) > 30 and abs(np.median(found)) < 5 and np.mean(np.abs(found)) < 5


def test_breaths_and_consonants_sound_without_being_labelled():
    song = synth.demo_song(0, 20, reverb=0)
    melody = song.melody
    at = np.minimum(np.arange(len(melody)) * 256, song.audio.shape[1] - 1)
    heard = np.abs(song.stems["melody"][0])[at] > 0.002
    assert np.sum(heard & ~melody.voiced) > 20 and np.mean(heard[melody.voiced]) > 0.8
    first_s = melody.times_s[np.argmax(melody.voiced)]
    assert not song.stems["melody"][0, : round((first_s - 0.7) * SR)].any()  # the introduction
    rests = np.diff(np.flatnonzero(melody.voiced)).max() * 256 / SR
    assert rests > 1.5  # the bar without melody


@pytest.mark.parametrize("lead_db", [-6.0, 1.5])
def test_lead_level_is_what_was_asked(lead_db):
    song = synth.demo_song(2, 8, lead_db=lead_db, reverb=0)
    sung = np.repeat(song.melody.voiced, 256)[: song.audio.shape[1]]
    lead, rest = song.stems["melody"][0][sung], (song.audio - song.stems["melody"])[0][sung]
    assert 10 * np.log10(np.mean(lead**2) / np.mean(rest**2)) == pytest.approx(lead_db, abs=0.3)


def test_onsets_of_the_song_are_where_the_drums_begin():
    song = synth.demo_song(1, 8, reverb=0)
    drums, onsets = song.stems["drums"][0], song.onsets
    assert set(onsets.classes) == set(synth.DRUM_CLASSES) and np.all(onsets.times_s < 8)
    drums = np.diff(drums, 3)  # takes out what still booms
    gaps = np.diff(np.concatenate([[-1], onsets.times_s]))
    for start in np.round(onsets.times_s[gaps > 0.1] * SR).astype(int):
        before, after = drums[max(0, start - 113) : max(0, start - 3)], drums[start : start + 110]
        assert np.sum(after**2) > 4 * np.sum(before**2)


def test_same_seed_same_bits_other_seed_other_song():
    once, again, other = synth.demo_song(5, 4), synth.demo_song(5, 4), synth.demo_song(6, 4)
    assert np.array_equal(once.audio, again.audio) and np.array_equal(
        once.melody.signed_hz, again.melody.signed_hz
    )
    assert abs(np.corrcoef(once.audio[0], other.audio[0])[0, 1]) < 0.2
    assert len({(s.tempo_bpm, s.key) for s in map(synth.compose, range(20))}) > 15


def test_stereo_pans_and_still_sums():
    song = synth.demo_song(0, 5, stereo=True)
    assert song.channels == 2 and np.array_equal(sum(song.stems.values()), song.audio)
    side = {name: np.sum(stem[0] ** 2) / np.sum(stem**2) for name, stem in song.stems.items()}
    assert side["melody"] == pytest.approx(0.5) and side["chords"] > 0.8 and side["drums"] < 0.4


@pytest.mark.parametrize(
    ("seconds", "sr"), [(0.1, 8000), (0.1, 22050), (1.234, 11025), (3, 8000), (0.5, 192000)]
)
def test_any_length_and_rate(seconds, sr):
    song = synth.demo_song(1, seconds, sr=sr)
    assert song.audio.shape == (1, round(seconds * sr)) and song.sr == sr
    assert len(song.melody) == 1 + song.audio.shape[1] // 256
    assert np.isfinite(song.audio).all() and np.abs(song.audio).max() == pytest.approx(
        0.8, abs=1e-5
    )


@pytest.mark.parametrize(
    "wrong",
    [{"seconds": 0.05}, {"sr": 4000}, {"seed": -1}, {"seconds": np.nan}, {"seconds": np.inf}],
)
def test_wrong_numbers_are_refused_in_a_sentence(wrong):
    with pytest.raises(InputError, match="seconds >= 0.1"):
        synth.demo_song(**wrong)
