"""Planted tones come out in the right rows and columns of every picture; any recording goes in."""

import functools
import warnings

import librosa
import numpy as np
import pytest

from melodylab.dsp import cfp, constant_q, features, grids, stft
from melodylab.errors import InputError
from melodylab.records import Song

SR = 22050
PICTURES = [
    features.power_spectrogram,
    features.mel,
    features.cqt,
    features.hcqt,
    features.log_magnitudes,
]
PICTURES += [functools.partial(cfp.cfp, sr=SR)]


def tone(f_hz, seconds=1.0, sr=SR, amplitude=0.5):
    return Song.from_array(
        amplitude * np.sin(2 * np.pi * f_hz * np.arange(round(seconds * sr)) / sr), sr
    )


def notes(f0_hz, seconds=1.0, partials=5):
    """A note with harmonics of equal strength."""
    t = np.arange(round(seconds * SR)) / SR
    return Song.from_array(
        0.1 * sum(np.sin(2 * np.pi * k * f0_hz * t) for k in range(1, partials + 1)), SR
    )


def profile(picture, layer=0):
    """The middle frame, (freq,)."""
    return picture.values[layer, :, picture.values.shape[2] // 2]


def peak_hz(picture, layer=0):
    return picture.freqs_hz[np.argmax(profile(picture, layer))]


@pytest.mark.slow
@pytest.mark.parametrize("f_hz", [110.0, 440.0, 1234.5])
def test_a_tone_peaks_at_the_nearest_row_of_each_picture(f_hz):
    song = tone(f_hz)
    for picture in (features.power_spectrogram(song), features.cqt(song), features.hcqt(song)):
        at = peak_hz(picture, 1 if picture.kind == "hcqt" else 0)
        assert at == picture.freqs_hz[np.abs(np.log(picture.freqs_hz[1:] / f_hz)).argmin() + 1], (
            picture.kind
        )


@pytest.mark.parametrize("k", [25, 60, 90, 126])
def test_a_tone_at_the_tip_of_a_triangle_peaks_there(k):
    tip_hz = features.mel(tone(440, 0.1)).freqs_hz[k]
    assert peak_hz(features.mel(tone(tip_hz))) == tip_hz


@pytest.mark.slow
@pytest.mark.parametrize("f0_hz", [110.0, 440.0])
def test_layer_h_of_the_hcqt_sees_the_tone_as_pitch_f_over_h(f0_hz):
    picture = features.hcqt(tone(f0_hz))
    grid = grids.PitchGrid(32.7, 60, 360)
    for layer, h in enumerate(features.HARMONICS):
        row = grid.nearest_bin(f0_hz / h)
        if row >= 0:
            assert abs(int(np.argmax(profile(picture, layer))) - row) <= 1, h


def test_the_hcqt_lines_up_the_partials_of_one_note():
    picture = features.hcqt(notes(220.0))
    row = grids.PitchGrid(32.7, 60, 360).nearest_bin(220.0)
    column = picture.values[:, :, picture.values.shape[2] // 2]
    assert column[1:, row].min() > 0.9  # harmonics 1 to 5: within 8 dB of the loudest
    assert column[0, row] < 0.5  # nothing sounds at half the pitch
    together = column[1:].mean(axis=0)
    assert np.argmax(together) == row
    octaves = together[[row - 60, row + 60]]  # the pitches a single layer would confuse it with
    assert octaves.max() < 0.75 * together[row]


def test_a_semitone_up_shifts_the_cqt_by_five_rows():
    low, high = (
        profile(features.cqt(notes(f0, partials=3))) for f0 in (220.0, 220.0 * 2 ** (1 / 12))
    )
    shifts = range(-10, 11)
    likeness = [np.corrcoef(np.roll(low, s)[20:-20], high[20:-20])[0, 1] for s in shifts]
    assert shifts[int(np.argmax(likeness))] == 5 and max(likeness) > 0.99
    plain_low, plain_high = (
        profile(features.power_spectrogram(notes(f0))) ** 0.25
        for f0 in (220.0, 220.0 * 2 ** (1 / 12))
    )
    assert (
        max(np.corrcoef(np.roll(plain_low, s), plain_high)[0, 1] for s in range(30)) < 0.9
    )  # no shift fits on a linear axis


@pytest.mark.parametrize(("window", "width_bins"), [("hann", 4), ("boxcar", 2)])
def test_the_window_sets_how_far_two_tones_must_be_apart(window, width_bins):
    # a main lobe is 4 (Hann) or 2 (no window) bins of sr / length wide; tones half a lobe and more
    # apart leave a dip
    a2, a_sharp2 = 110.0, 110.0 * 2 ** (1 / 12)
    t = np.arange(2 * SR) / SR
    song = Song.from_array(
        0.1 * np.sin(2 * np.pi * a2 * t) + 0.1 * np.sin(2 * np.pi * a_sharp2 * t), SR
    )
    for length in (2048, 16384):
        picture = features.power_spectrogram(song, win_samples=length, window=window)
        line = profile(picture)[(picture.freqs_hz > 95) & (picture.freqs_hz < 132)]
        peaks = np.sum(
            (line[1:-1] > line[:-2]) & (line[1:-1] > line[2:]) & (line[1:-1] > 0.1 * line.max())
        )
        assert peaks == (2 if width_bins / 2 * SR / length < a_sharp2 - a2 else 1)


def test_the_power_of_a_tone_is_what_the_docstring_says():
    picture = features.power_spectrogram(
        tone(1000 * SR / 22050, sr=SR, amplitude=0.5), win_samples=2205
    )  # 10 Hz rows
    assert picture.freqs_hz[100] == 1000
    np.testing.assert_allclose(
        profile(picture)[100], (0.5 * 2205 / 2 / 2) ** 2, rtol=1e-4
    )  # a Hann window sums to half


@pytest.mark.slow
def test_a_click_stands_in_its_own_frame_of_each_picture():
    y = np.zeros(3 * SR)
    y[160 * 256] = 1
    for make in PICTURES:
        picture = make(Song.from_array(y, SR), hop_samples=256)
        energy = picture.values[:, -60:].sum(axis=(0, 1))  # the upper rows, whose filters are short
        assert abs(np.argmax(energy) - 160) <= (0 if picture.kind in ("stft", "mel") else 1), (
            picture.kind
        )
        assert picture.times_s[160] == 160 * 256 / SR


@pytest.mark.slow
@pytest.mark.parametrize("make", PICTURES)
@pytest.mark.parametrize(
    ("samples", "hop"), [(1, 256), (661, 256), (SR, 300)]
)  # one sample, 30 ms, a second
def test_any_length_gives_the_frames_of_the_clock(make, samples, hop):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        picture = make(Song.from_array(np.full(samples, 0.1), SR), hop_samples=hop)
    frames = 1 + samples // hop
    assert (
        picture.values.shape[1:] == (len(picture.freqs_hz), frames)
        and picture.values.dtype == np.float32
    )
    np.testing.assert_array_equal(picture.times_s, np.arange(frames) * hop / SR)
    assert (
        np.all(np.isfinite(picture.values))
        and picture.values.min() >= 0
        and picture.values.max() > 0
    )


@pytest.mark.slow
@pytest.mark.parametrize("make", PICTURES)
@pytest.mark.parametrize(("sr", "channels"), [(8000, 1), (44100, 8), (192000, 2)])
def test_any_rate_and_channel_count_gives_the_same_picture(make, sr, channels):
    song = tone(440, 0.5, sr)
    song = Song(np.repeat(song.audio, channels, axis=0), sr)
    picture, reference = (make(s, sr=SR) for s in (song, tone(440, 0.5)))
    assert picture.values.shape == reference.values.shape
    layer = 1 if picture.kind == "hcqt" else 0
    np.testing.assert_allclose(
        profile(picture, layer).max(), profile(reference, layer).max(), rtol=0.01
    )
    assert peak_hz(picture, layer) == peak_hz(reference, layer)


def test_rows_above_the_files_own_band_carry_nothing(rng):
    song = Song.from_array(0.1 * rng.standard_normal(8000), 8000)
    picture = features.mel(song)
    middle = picture.values[
        0, :, 5:-5
    ]  # the cuts at both ends are clicks, and clicks reach everywhere
    assert middle[picture.freqs_hz > 4500].max() < 1e-9 * middle.max()


@pytest.mark.slow
@pytest.mark.parametrize("make", PICTURES)
def test_silence_is_zero_everywhere(make):
    assert not make(Song.from_array(np.zeros(5000), 44100)).values.any()


@pytest.mark.slow
def test_defaults_are_the_published_grids():
    song = tone(440, 0.3)
    cqt, hcqt = features.cqt(song), features.hcqt(song)
    assert (cqt.kind, cqt.values.shape[:2], cqt.freqs_hz[0], cqt.freqs_hz[-1]) == (
        "cqt",
        (1, 301),
        55,
        pytest.approx(1760),
    )
    assert (hcqt.kind, hcqt.values.shape[:2], hcqt.freqs_hz[0]) == ("hcqt", (6, 360), 32.7)
    assert hcqt.freqs_hz[-1] == pytest.approx(2068.8, abs=0.05)
    assert features.HARMONICS == (0.5, 1, 2, 3, 4, 5)
    mel = features.mel(song)
    assert mel.values.shape[:2] == (1, 128) and 10500 < mel.freqs_hz[-1] < 11025


@pytest.mark.slow
def test_the_hcqt_is_decibels_below_the_loudest_cell_of_all_layers(rng):
    # loudest is a tone at 5 kHz, which only the upper layers see
    song = Song.from_array(
        notes(220.0).mono + 1e-3 * rng.standard_normal(SR) + tone(5000, amplitude=3).mono, SR
    )
    picture = features.hcqt(song)
    assert picture.values[1].max() < 0.95
    assert picture.values.max() == 1 and picture.values.min() == 0
    layers = np.stack([
        features.cqt(song, fmin_hz=32.7 * h, n_bins=360).values[0] for h in features.HARMONICS
    ])  # fmt: skip
    expected = (
        librosa.amplitude_to_db(layers, ref=layers.max()) / 80 + 1
    )  # one reference for all: trap T20
    np.testing.assert_allclose(picture.values, expected, atol=1e-5)
    louder = features.hcqt(Song.from_array(7 * song.mono, SR))
    np.testing.assert_allclose(louder.values, picture.values, atol=1e-3)


def test_the_cqt_is_librosas(rng):
    y = 0.1 * rng.standard_normal(4 * SR).astype(np.float32)
    y[:SR], y[-SR:] = 0, 0  # where a sound is cut off, librosa's resampling rings differently
    ours = features.cqt(Song.from_array(y, SR))
    theirs = np.abs(librosa.cqt(y, sr=SR, hop_length=256, fmin=55, n_bins=301, bins_per_octave=60))
    np.testing.assert_allclose(
        ours.values[0], theirs[:, : ours.values.shape[2]], atol=1e-4 * theirs.max()
    )


@pytest.mark.slow
@pytest.mark.parametrize("make", PICTURES)
def test_the_result_does_not_depend_on_the_blocks(make, monkeypatch, rng):
    song = Song.from_array(0.1 * rng.standard_normal(2 * SR), SR)
    whole = make(song).values
    for module in (features, constant_q):
        monkeypatch.setattr(module, "_BLOCK_FRAMES", 37)
    np.testing.assert_allclose(make(song).values, whole, atol=3e-5 * whole.max())


def test_a_working_rate_that_is_too_low_is_refused_in_a_sentence():
    with pytest.raises(
        InputError,
        match="up to 1760 Hz needs a working rate above twice that, not 3000 Hz; raise sr",
    ):
        features.cqt(tone(440, 0.3), sr=3000)


def test_the_transform_behind_the_spectrogram_is_the_one_of_audio(rng):
    song = Song.from_array(0.1 * rng.standard_normal(SR), SR)
    window = librosa.filters.get_window("hann", 1024).astype(np.float32)
    expected = np.abs(stft.stft(song.mono, window=window, hop_samples=256)) ** 2
    picture = features.power_spectrogram(song, win_samples=1024, hop_samples=256)
    np.testing.assert_allclose(picture.values[0], expected, rtol=1e-4, atol=1e-9)


# --- CFP ------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def released(reference_dir):
    with np.load(reference_dir / "cfp_ftanet_rock_8s.npz") as stored:
        return dict(stored)


def test_the_released_cfp_is_met(released):
    """The release passes no window on, so 2,049 samples whatever the rate."""
    made = cfp.cfp(Song.from_array(released["signal_8k"], 8000), win_samples=2049, as_released=True)
    assert made.values.shape == released["cfp"].shape == (3, 320, 799)
    np.testing.assert_allclose(made.values, released["cfp"], atol=1e-4)
    np.testing.assert_allclose(made.times_s, released["times_s"])
    np.testing.assert_allclose(made.freqs_hz, released["centre_hz"][:320])


def test_ours_is_the_released_cfp_but_for_its_borders(released):
    song = Song.from_array(released["signal_8k"], 8000)
    ours, theirs = (
        cfp.cfp(song, win_samples=2049),
        cfp.cfp(song, win_samples=2049, as_released=True),
    )
    inner = slice(20, -20)
    for layer in range(3):
        a, b = ours.values[layer, :, 1:-1][:, inner].ravel(), theirs.values[layer][:, inner].ravel()
        assert np.corrcoef(a, b)[0, 1] > 0.98, layer


@pytest.mark.parametrize(
    "sr, win_samples, hop_samples, gaps", [(8000, 768, 80, 92), (44100, 2049, 256, 3)]
)
def test_rows_that_no_lag_falls_into_stay_empty_until_they_are_filled(
    sr, win_samples, hop_samples, gaps
):
    noise = Song.from_array(np.random.default_rng(0).normal(0, 0.1, sr), sr)
    preset = {"sr": sr, "win_samples": win_samples, "hop_samples": hop_samples}
    empty = ~cfp.cfp(noise, **preset).values.any(axis=2)
    assert empty[:, 0].all() and empty[2].sum() == gaps and 28 <= empty[0].sum() <= 31
    assert cfp.cfp(noise, **preset, fill_gaps=True).values.any(axis=2).all()


def test_what_all_three_pictures_share_is_the_pitch():
    picture = cfp.cfp(notes(220.0), fill_gaps=True)
    at = {f_hz: np.abs(picture.freqs_hz - f_hz).argmin() for f_hz in (110, 220, 440)}
    spectrum, gcos, cepstrum = (profile(picture, layer) for layer in range(3))
    beside = at[220] + 30  # half an octave away
    assert spectrum[at[220]] > spectrum[beside] and spectrum[at[440]] > spectrum[beside], (
        "partials above"
    )
    assert cepstrum[at[220]] > 2 * cepstrum[beside] and cepstrum[at[110]] > 2 * cepstrum[beside], (
        "multiples of the period below"
    )
    product = spectrum * gcos * cepstrum
    assert abs(int(product.argmax()) - at[220]) <= 1


def test_a_cfp_needs_its_rate():
    with pytest.raises(InputError, match="needs a rate of twice that and more, not 2000 Hz"):
        cfp.cfp(tone(200), sr=2000)
    with pytest.raises(InputError, match="no frame below 81 samples at 8000 Hz"):
        cfp.cfp(Song.from_array(np.ones(80), 8000), as_released=True)


# --- log magnitudes -------------------------------------------------------------------------------


def in_decibels(song):
    return features.decibels(features.log_magnitudes(song).values.copy())


def test_a_long_window_parts_partials_and_a_short_one_clicks():
    two = Song.from_array(tone(440).mono + tone(440 * 2 ** (1.5 / 12)).mono, SR)
    values = in_decibels(two)
    long, short = values[..., values.shape[2] // 2]
    between = grids.PitchGrid(36.7, 36, 312).nearest_bin(440 * 2 ** (0.75 / 12))
    assert long[between] < long[between - 2] - 0.3 and short[between] > short[between - 2] - 0.1
    click = np.zeros(SR)
    click[SR // 2] = 1
    length = (in_decibels(Song.from_array(click, SR)) > 0.3).any(axis=1).sum(axis=1)
    assert length[1] < length[0]


def test_mel_triangles_stand_where_their_scale_says():
    sr, n_fft, bands = 16000, 16384, 40
    bins_hz = np.arange(1 + n_fft // 2) * sr / n_fft
    triangles, tips_hz = features.mel_triangles(sr, n_fft, bands, htk=True)
    mel = np.linspace(0, 2595 * np.log10(1 + 8000 / 700), bands + 2)  # O'Shaughnessy's formula
    edges_hz = 700 * (10 ** (mel / 2595) - 1)
    np.testing.assert_allclose(tips_hz, edges_hz[1:-1], rtol=1e-6)
    for n, row in enumerate(triangles.toarray()):
        by_hand = np.interp(bins_hz, edges_hz[n : n + 3], [0, 1, 0], left=0, right=0)
        np.testing.assert_allclose(row, by_hand, atol=1e-5)
    triangles, tips_hz = features.mel_triangles(sr, n_fft, bands, fmax_hz=4000)
    assert np.ptp(np.diff(tips_hz[tips_hz < 1000])) < 1e-6, "Slaney's scale is even below 1 kHz"
    areas = triangles.toarray().sum(axis=1) * sr / n_fft
    np.testing.assert_allclose(areas, 1, atol=1e-3)
    assert not triangles.toarray()[:, bins_hz > 4000].any()
