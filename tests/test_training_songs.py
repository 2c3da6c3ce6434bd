"""Songs to learn from.

Exact truth, switches that do what they say, the same bits for the same seed.
"""

import dataclasses
import shutil

import numpy as np
import pytest

from melodylab import InputError, Song, synth
from melodylab.dsp import features
from melodylab.io import midi
from melodylab.synth import scores, songs, soundfont

SECONDS = 8


def song(seed, mix=0, mixes=1, **switches):
    return synth.training_song(
        seed, SECONDS, ingredients=synth.Ingredients(**switches), mix=mix, mixes=mixes
    )


@pytest.mark.slow
@pytest.mark.parametrize("seed", [4, 20, 25])
def test_the_lead_has_its_harmonics_where_the_truth_says(seed):
    made = song(seed, processing=False)
    alone = Song.from_array(made.stems["melody"], made.sr)
    salience = features.hcqt(alone, fmin_hz=55, n_bins=301, harmonics=(1, 2, 3, 4)).values.sum(
        axis=0
    )
    voiced = made.melody.voiced
    position = 60 * np.log2(made.melody.f0_hz[voiced] / 55)
    off = []
    for column, bin_ in zip(salience.T[voiced], position, strict=True):
        first = max(round(bin_) - 8, 0)
        off.append(first + column[first : round(bin_) + 9].argmax() - bin_)
    assert abs(np.median(off)) < 0.6  # bins of 20 cents
    assert np.mean(np.abs(off) < 2.5) > 0.95


def test_where_the_truth_is_silent_so_is_the_lead():
    made = song(25, processing=False)
    lead = made.stems["melody"][0]
    at = np.minimum(256 * np.arange(len(made.melody)), len(lead) - 1)
    level = np.array([np.sqrt(np.mean(lead[max(n - 128, 0) : n + 128] ** 2)) for n in at])
    voiced = made.melody.voiced
    assert np.median(level[~voiced]) < 0.01 * np.median(level[voiced])


@pytest.mark.slow
def test_stems_sum_to_the_song_exactly_and_nothing_clips():
    for seed in range(2):
        made = song(seed)
        assert np.array_equal(sum(made.stems.values()), made.audio)
        assert np.abs(made.audio).max() == pytest.approx(0.8, abs=1e-3)
        assert made.audio.shape == (1, SECONDS * 22050) and made.sr == 22050


@pytest.mark.slow
def test_same_arguments_same_bits_and_another_mix_is_another_sound_of_the_same_score():
    songs._tracks.cache_clear()
    first = song(5, mix=0, mixes=2)
    songs._tracks.cache_clear()
    again, other = song(5, mix=0, mixes=2), song(5, mix=1, mixes=2)
    assert np.array_equal(first.audio, again.audio)
    assert not np.array_equal(first.audio, other.audio)
    assert np.array_equal(first.melody.signed_hz, other.melody.signed_hz)
    assert not np.array_equal(first.melody.signed_hz, song(6).melody.signed_hz)


def lead_db(made):
    voiced = (
        np.interp(
            np.arange(made.audio.shape[1]) / made.sr, made.melody.times_s, made.melody.voicing
        )
        > 0.5
    )
    rest = (made.audio - made.stems["melody"] - made.stems.get("second_voice", 0))[0, voiced]
    return 10 * np.log10(np.mean(made.stems["melody"][0, voiced] ** 2) / np.mean(rest**2))


@pytest.mark.slow
def test_easy_mixes_come_first():
    easy, hard = zip(
        *((lead_db(song(seed, 0, 4)), lead_db(song(seed, 3, 4))) for seed in (0, 4, 20)),
        strict=True,
    )
    assert np.mean(easy) > np.mean(hard) + 3
    assert min(easy) > -3 and max(hard) < 3


@pytest.mark.slow
def test_soft_leads_are_as_soft_as_they_say():
    levels = np.array([lead_db(song(seed, 3, 4)) for seed in (0, 4, 20)])
    louder = np.array([lead_db(song(seed, 3, 4, soft_leads=False)) for seed in (0, 4, 20)])
    assert (levels > -9).all() and (levels < louder).all()


def kinds(switches, seeds):
    """Names of all tracks that some of the songs have."""
    return set().union(
        *(songs._tracks(seed, 4, synth.Ingredients(**switches))[0] for seed in seeds)
    )


@pytest.mark.slow
def test_each_switch_takes_its_ingredient_out():
    with_all = kinds({"riffs": 1.0, "second_voice": 1.0, "instrument_leads": 0.0}, (0, 1, 2, 3, 4))
    assert with_all == {"melody", "second_voice", "riff", "chords", "driven", "bass", "drums"}
    without = {"riffs": 0.0, "second_voice": 0.0, "distortion": False, "drums": False}
    assert kinds(without, (0, 1)) == {"melody", "chords", "bass"}


def test_bars_without_lead_are_what_rests_means():
    def sung_share(**switches):
        plans = [
            scores._plan(np.random.default_rng(seed), 30, synth.Ingredients(**switches))
            for seed in range(40)
        ]
        return np.mean([plan.leads.mean() for plan in plans])

    assert sung_share(rests=False) == 1.0
    assert 0.5 < sung_share() < 0.85


def test_without_formants_a_saw_sings():
    def brightness(**switches):  # of one pitch: a saw's harmonics fall by no formant
        made = synth.training_song(
            2,
            SECONDS,
            ingredients=synth.Ingredients(instrument_leads=0.0, processing=False, **switches),
        )
        spectrum = np.abs(np.fft.rfft(made.stems["melody"][0])) ** 2
        return spectrum[len(spectrum) // 2 :].sum() / spectrum.sum()

    assert brightness(formant_voice=False) > 5 * brightness()


def test_a_song_in_tune_is_in_tune():
    switches = {"detuned": False, "instrument_leads": 1.0, "processing": False}
    struck = [
        made
        for made in (song(seed, **switches) for seed in range(4))
        if np.allclose(offset(made), 0, atol=1e-6)
    ]
    assert struck  # keys and plucked strings play exact semitones


def offset(made):
    midi_number = 69 + 12 * np.log2(made.melody.f0_hz[made.melody.voiced] / 440)
    return midi_number - np.round(midi_number)


@pytest.mark.parametrize("wrong", [{"seconds": 0.5}, {"mix": 1}, {"mix": -1}, {"seconds": np.nan}])
def test_wrong_arguments_get_a_sentence(wrong):
    with pytest.raises(InputError, match="a training song lasts 1 s or more"):
        synth.training_song(0, **{"seconds": 2, **wrong})


def test_a_share_is_a_share():
    with pytest.raises(InputError, match="riffs is a share"):
        synth.Ingredients(riffs=1.5)
    for field in dataclasses.fields(synth.Ingredients):
        assert isinstance(field.default, bool | float)


def test_a_soundfont_that_is_missing_is_named_with_the_way_out(monkeypatch):
    monkeypatch.setattr(shutil, "which", lambda name: None)
    recipe = synth.Ingredients(soundfont=0.001)  # may be read anywhere, whoever it was written by
    with pytest.raises(InputError, match="needs fluidsynth.*or set soundfont = 0"):
        synth.training_song(0, 2, ingredients=recipe)


def test_a_soundfont_plays_in_time_and_in_tune():
    try:
        soundfont.find()
    except InputError as reason:
        pytest.skip(str(reason))
    parts = {"bass": [synth.Note(1.0, 2.0, 45)], "chords": [synth.Note(0.5, 1.5, 69)]}
    made = soundfont.render(
        parts,
        [synth.Hit(1.5, "kick", 1.0)],
        3 * 22050,
        sr=22050,
        rng=np.random.default_rng(0),
        tuning=0.25,
    )
    assert set(made) == {"bass", "chords", "drums"} and {len(track) for track in made.values()} == {
        3 * 22050
    }
    for name, start_s in (("bass", 1.0), ("chords", 0.5), ("drums", 1.5)):
        loud = np.flatnonzero(np.abs(made[name]) > 0.05 * np.abs(made[name]).max())[0] / 22050
        assert loud == pytest.approx(start_s, abs=0.06)
    spectrum = np.abs(np.fft.rfft(made["chords"][22050 // 2 :] * np.hanning(2.5 * 22050), 1 << 19))
    hz = np.arange(len(spectrum)) * 22050 / (1 << 19)
    near = (hz > 400) & (hz < 480)
    assert hz[near][spectrum[near].argmax()] == pytest.approx(440 * 2 ** (0.25 / 12), rel=0.004)


def test_parts_are_written_as_midi(tmp_path):
    import pretty_midi

    path = tmp_path / "parts.mid"
    midi.write_parts(
        path, [(24, False, [(0.5, 1.0, 60, 1.0)]), (0, True, [(0.25, 0.3, 36, 0.5)])], tuning=0.5
    )
    read = pretty_midi.PrettyMIDI(str(path))
    assert [(i.program, i.is_drum, len(i.notes)) for i in read.instruments] == [
        (24, False, 1),
        (0, True, 1),
    ]
    assert read.instruments[0].notes[0].start == pytest.approx(0.5, abs=2e-3)
    assert read.instruments[0].pitch_bends[0].pitch == pytest.approx(2048, abs=2)


def test_a_played_line_follows_every_bend():
    try:
        soundfont.find()
    except InputError as reason:
        pytest.skip(str(reason))
    curve = np.concatenate(
        [
            np.full(11025, 57.0),
            np.full(22050, 57.4),
            np.linspace(62.4, 59.4, 22050),
            np.full(11025, 59.4),
        ]
    )
    notes = [synth.Note(0.5, 1.5, 57.4), synth.Note(1.5, 3.0, 59.4)]
    y = soundfont.render_line(notes, curve, sr=22050, rng=np.random.default_rng(1), kind="low lead")
    assert len(y) == len(curve)
    assert np.flatnonzero(np.abs(y) > 0.05 * np.abs(y).max())[0] / 22050 == pytest.approx(
        0.5, abs=0.06
    )
    for at_s, midi_note in ((1.0, 57.4), (2.0, 60.9), (2.75, 59.4)):
        part = y[round((at_s - 0.1) * 22050) : round((at_s + 0.1) * 22050)]
        spectrum = np.abs(np.fft.rfft(part * np.hanning(len(part)), 1 << 17))
        f0_hz = 440 * 2 ** (midi_note / 12 - 69 / 12)
        offsets_cents = np.arange(-300, 301, 5)
        hz = f0_hz * 2 ** (offsets_cents / 1200) * np.arange(1, 5)[:, None]
        found = offsets_cents[
            np.interp(hz, np.arange(len(spectrum)) * 22050 / (1 << 17), spectrum)
            .sum(axis=0)
            .argmax()
        ]
        assert abs(found) <= 25, f"{found} cents off at {at_s} s"


@pytest.mark.slow
def test_a_clear_instrument_is_no_softer_than_the_rest_and_seldom_has_a_riff():
    plain = {"instrument_leads": 1.0, "riffs": 1.0, "second_voice": 0.0}
    made = {
        clear: [song(seed, clear_instruments=clear, **plain) for seed in range(12)]
        for clear in (False, True)
    }
    levels_db = {
        clear: [lead_db(one) for one in songs if one.melody.voiced.any()]
        for clear, songs in made.items()
    }
    assert min(levels_db[True]) > -0.5 and min(levels_db[False]) < -2
    riffs = {clear: sum("riff" in one.stems for one in songs) for clear, songs in made.items()}
    assert riffs[True] < 6 < riffs[False]
    voices = [song(3, instrument_leads=0.0, clear_instruments=clear) for clear in (False, True)]
    assert np.array_equal(voices[0].audio, voices[1].audio), "voices are as they were"


@pytest.mark.slow
def test_instrument_leads_can_come_from_the_soundfont():
    try:
        soundfont.find()
    except InputError as reason:
        pytest.skip(str(reason))
    plain = {"instrument_leads": 1.0, "processing": False}
    made = {
        songs._lead(*_lead_arguments(seed), synth.Ingredients(**plain, soundfont_leads=1.0))[4]
        for seed in range(6)
    }
    assert made == {"low lead", "high lead"}
    built = {
        songs._lead(*_lead_arguments(seed), synth.Ingredients(**plain))[4] for seed in range(6)
    }
    assert not built & made


def _lead_arguments(seed):
    rng = np.random.default_rng(seed)
    return scores._plan(rng, 4, synth.Ingredients()), 4 * 22050, rng
