"""Tones, clicks and players: what is heard is what was meant."""

import base64
import io
import re

import numpy as np
import pytest
import soundfile as sf
from IPython.display import HTML

from melodylab import sonify
from melodylab.errors import InputError
from melodylab.records import Melody

SR = 22050


def melody_of(f0_hz, voicing=None, hop_s=0.01):
    f0_hz = np.asarray(f0_hz, dtype=float)
    voicing = np.isfinite(f0_hz).astype(float) if voicing is None else voicing
    return Melody(np.arange(len(f0_hz)) * hop_s, f0_hz, voicing)


def peak_hz(y, sr=SR):
    spectrum = np.abs(np.fft.rfft(y * np.hanning(len(y)), 8 * sr))
    return np.argmax(spectrum) / 8


def decode(player):
    data = base64.b64decode(
        re.search(r'src="data:audio/mpeg;base64,([A-Za-z0-9+/=]+)"', player.data)[1]
    )
    return sf.read(io.BytesIO(data), always_2d=True)


def level(player):
    """Amplitude of a sine heard in the middle of a player."""
    z, sr = decode(player)
    return np.sqrt(2) * np.std(z[len(z) // 4 : -len(z) // 4])


def test_tone_plays_the_planted_pitch_and_is_gated():
    f0_hz = np.full(300, np.nan)
    f0_hz[50:150], f0_hz[200:250] = 220.0, 330.0
    y = sonify.tone(melody_of(f0_hz), SR, 3 * SR)
    assert y.dtype == np.float32 and y.shape == (3 * SR,) and np.abs(y).max() < 0.4
    assert abs(peak_hz(y[round(0.6 * SR) : round(1.4 * SR)]) - 220) < 0.3
    assert abs(peak_hz(y[round(2.05 * SR) : round(2.45 * SR)]) - 330) < 0.5
    sounding = np.flatnonzero(y) / SR
    assert (
        0.494 < sounding.min() < 0.496 and 2.494 < sounding.max() < 2.496
    )  # half a frame beyond the run
    assert not y[round(1.496 * SR) : round(1.994 * SR)].any()
    middle = np.abs(y[round(0.8 * SR) : round(1.2 * SR)]).max()
    assert np.abs(y[round(0.495 * SR) : round(0.499 * SR)]).max() < 0.6 * middle  # the ramp
    assert np.abs(np.diff(y)).max() < 0.15


def test_tone_does_not_glide_across_a_gap():
    y = sonify.tone(melody_of([200.0] * 40 + [np.nan] * 3 + [400.0] * 40), SR)
    assert abs(peak_hz(y[round(0.3 * SR) : round(0.39 * SR)]) - 200) < 3
    assert abs(peak_hz(y[round(0.43 * SR) : round(0.53 * SR)]) - 400) < 3


def test_tone_interpolates_in_log_frequency_with_a_continuous_phase():
    melody = Melody(np.array([0.0, 1.0]), np.array([200.0, 800.0]), np.ones(2))
    y = sonify.tone(melody, SR, SR)
    middle = y[round(0.495 * SR) : round(0.505 * SR)]
    crossings = np.flatnonzero((middle[:-1] < 0) & (middle[1:] >= 0))
    assert SR / np.median(np.diff(crossings)) == pytest.approx(
        400, rel=0.02
    )  # 500 on a linear scale
    assert np.abs(np.diff(y)).max() < 0.25


def test_unvoiced_guesses_are_silent():
    assert not sonify.tone(melody_of([220.0] * 100, voicing=np.full(100, 0.4)), SR).any()
    assert not sonify.tone(melody_of([np.nan] * 100), SR).any()
    assert sonify.tone(melody_of([]), SR).shape == (0,)
    assert sonify.tone(melody_of([220.0]), SR, 1000).any()


def test_tone_keeps_below_nyquist():
    y = sonify.tone(melody_of([1500.0] * 100), 8000, 8000)
    spectrum = np.abs(np.fft.rfft(y * np.hanning(8000)))
    assert spectrum[3100:].max() < 1e-3 * spectrum.max() and abs(np.argmax(spectrum) - 1500) <= 1
    assert (
        spectrum[1600:2900].max() < 1e-2 * spectrum.max()
    )  # 4500 Hz would come back at 3500, 6000 at 2000


def test_tone_sounds_where_the_demo_song_is_sung(demo):
    y = sonify.tone(demo.melody, demo.sr, demo.audio.shape[1])
    at = np.minimum(np.arange(len(demo.melody)) * 256, len(y) - 40)
    heard = np.array([np.any(y[a : a + 40]) for a in at])
    assert np.mean(heard == demo.melody.voiced) > 0.97


def test_clicks_begin_at_their_sample():
    y = sonify.clicks([0.5, 0.1, -1.0, 7.0, 0.9999], SR, SR)
    assert y.shape == (SR,) and np.abs(y).max() <= 1
    for time_s in (0.1, 0.5):
        start = round(time_s * SR)
        assert y[start] > 0.4 and not y[start - 50 : start].any()
    assert not y[:1000].any()  # -1 s is not counted from the end
    assert not sonify.clicks([], SR, 100).any()


def test_check_mix_is_mix_left_tone_right(demo):
    both = sonify.check_mix(demo, demo.melody)
    assert both.shape == (2, demo.audio.shape[1]) and both.dtype == np.float32
    assert np.array_equal(both[0], demo.mono) and np.abs(both[1]).max() <= 0.95
    assert not both[1, : SR // 2].any() and both[1].any()
    silent = Melody(demo.melody.times_s, demo.melody.f0_hz, np.zeros(len(demo.melody)))
    assert not sonify.check_mix(demo, silent)[1].any()


@pytest.mark.parametrize(
    ("sr", "player_sr"),
    [(8000, 8000), (16000, 16000), (22050, 22050), (44100, 22050), (9000, 22050)],
)
def test_player_holds_the_excerpt_in_time(sr, player_sr):
    y = np.zeros(4 * sr, dtype=np.float32)
    y[2 * sr : 2 * sr + sr // 2] = 0.3 * np.sin(2 * np.pi * 440 * np.arange(sr // 2) / sr)
    z, z_sr = decode(sonify.player(y, sr, start_s=1, seconds=2))
    assert z_sr == player_sr and len(z) == 2 * player_sr
    assert np.std(z[round(1.1 * z_sr) : round(1.4 * z_sr)]) == pytest.approx(
        0.9 / np.sqrt(2), rel=0.05
    )
    loud = np.flatnonzero(np.abs(z[:, 0]) > 0.3) / z_sr
    assert loud.min() == pytest.approx(1.0, abs=0.01) and loud.max() == pytest.approx(1.5, abs=0.01)


def test_player_is_small_named_and_always_the_same(demo):
    html = sonify.player(demo.audio, demo.sr, title='<b>"loud" & clear</b>')
    assert 20_000 < len(html.data) < 45_000
    assert html.data == sonify.player(demo.audio, demo.sr, title='<b>"loud" & clear</b>').data
    label = "&lt;b&gt;&quot;loud&quot; &amp; clear&lt;/b&gt;"
    assert f'aria-label="{label}"' in html.data and f"<figcaption>{label}</figcaption>" in html.data
    assert "<b>" not in html.data and "<audio controls" in html.data


def test_player_takes_one_two_or_more_channels(demo):
    assert decode(sonify.player(demo.mono, demo.sr))[0].shape[1] == 1
    left_only = np.stack([demo.mono, 0 * demo.mono])
    z = decode(sonify.player(left_only, demo.sr))[0]
    assert z.shape[1] == 2 and np.abs(z[:, 1]).max() < 0.05 * np.abs(z[:, 0]).max()
    assert decode(sonify.player(np.stack([demo.mono] * 5), demo.sr))[0].shape[1] == 1


def test_gain_is_fixed_where_given_and_silence_stays_silent():
    y = 0.1 * np.sin(2 * np.pi * 440 * np.arange(SR) / SR)
    assert level(sonify.player(y, SR)) == pytest.approx(0.9, rel=0.05)
    assert level(sonify.player(y, SR, gain=2.0)) == pytest.approx(0.2, rel=0.05)
    assert np.abs(decode(sonify.player(y, SR, gain=100.0))[0]).max() < 1.3  # clipped, not wrapped
    assert np.abs(decode(sonify.player(0.0001 * y, SR))[0]).max() < 0.001
    assert not decode(sonify.player(0 * y, SR))[0].any()
    assert not decode(sonify.player(np.full(5000, np.nan), SR, gain=1.0))[0].any()
    y[:200] = np.nan
    assert level(sonify.player(y, SR)) == pytest.approx(0.9, rel=0.05)


def test_players_share_one_gain():
    y = np.sin(2 * np.pi * 440 * np.arange(SR) / SR)
    row = sonify.players({"loud": 0.4 * y, "soft": 0.04 * y}, SR).data
    loud, soft = (level(HTML(part)) for part in row.split("</figure>")[:2])
    assert loud == pytest.approx(0.9, rel=0.05) and soft == pytest.approx(0.09, rel=0.1)
    assert row.count("<audio") == 2 and row.index("loud") < row.index("soft")


def test_nothing_to_play_is_said(demo):
    with pytest.raises(InputError, match="lasts 6.00 s"):
        sonify.player(demo.audio, demo.sr, start_s=7)
    with pytest.raises(InputError, match="nothing to play"):
        sonify.players({"empty": np.zeros(0)}, SR)
