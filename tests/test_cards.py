"""A song, a melody or a kit alone in a cell is a picture and a player, and small in print."""

import subprocess
import sys

import matplotlib.pyplot as plt
import numpy as np
import pytest

import melodylab as ml
from melodylab.course import cards
from melodylab.records import DrumParts, Melody, Song


@pytest.fixture(scope="module")
def song():
    return ml.demo_song(0, 20)


@pytest.fixture(scope="module")
def kit(song):
    drums = Song(song.stems["drums"], song.sr, "drums").excerpt(0, 4)
    return ml.separate_drums(drums)


def card(record):
    """The HTML as a notebook asks for it."""
    made = record._repr_html_()
    assert len(made) < 150_000 and plt.get_fignums() == []
    assert made.count("<img") == 1 and 'alt="' in made
    return made


@pytest.mark.slow
def test_a_song_has_a_picture_and_a_player(song):
    made = card(song)
    assert made.count("<audio") == 1 and "demo-0" in made
    assert len(repr(song)) < 200


def test_a_melody_has_a_picture_and_a_tone(song):
    assert card(song.melody).count("<audio") == 1
    assert len(repr(song.melody)) < 200


def test_a_kit_has_a_player_for_each_drum_that_is_hit(kit):
    made = card(kit)
    assert made.count("<audio") == len(set(kit.onsets.classes)) > 1
    assert all(name in made for name in set(kit.onsets.classes))
    assert len(repr(kit)) < 300


@pytest.mark.slow
@pytest.mark.parametrize("sr", [8000, 44100, 192000])
@pytest.mark.parametrize("shape", [(1, 1), (2, 100), (8, 5000)])
def test_a_card_takes_any_song(rng, sr, shape):
    y = rng.uniform(-1, 1, shape)
    assert card(Song.from_array(y, sr)).count("<audio") == 1
    assert "<audio" not in card(Song.from_array(0 * y, sr))


def test_silence_and_nothing_have_no_player(kit):
    unvoiced = Melody([0.0, 0.01], [220.0, np.nan], [0.0, 0.0])
    assert "<audio" not in card(unvoiced)
    assert "no frames" in Melody([], [], [])._repr_html_()
    with pytest.raises(TypeError, match="no card for int"):
        cards.html(3)


def test_a_name_cannot_break_the_page():
    made = card(Song.from_array(np.ones(100), 8000, '<b>"x"'))
    assert "<b>" not in made


@pytest.mark.slow
def test_records_load_nothing_to_show_until_asked():
    code = (
        "import sys; from melodylab.records import Song; import numpy as np\n"
        "repr(Song.from_array(np.ones(9), 8000))\n"
        "print([n for n in ('matplotlib', 'IPython', 'torch') if n in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
    assert DrumParts.__module__.startswith("melodylab.records")
