"""What the released settings reach on the development songs: the cards' scores, song by song.

By default two short songs and the best of each kind, with `-m slow` all seven and every method; the
four networks that take longer than the song lasts hear the shortest one. Each song is read and each
input computed once for all networks that look at it. Constants were chosen on these songs.
"""

import functools
import hashlib

import numpy as np
import pytest

from melodylab import evaluate, models, separate, weights
from melodylab.io import folders
from melodylab.models import inputs
from melodylab.records import Song

SHORT = ("Reggae", "Rock")  # 17 and 13 s
LONG = ("80sRock", "Britpop", "Rockabilly", "Shadows", "Zeppelin")
each_song = pytest.mark.parametrize(
    "name", [*SHORT, *(pytest.param(name, marks=pytest.mark.slow) for name in LONG)]
)
FIGURES = ("OA", "RPA", "RCA", "VR", "VFA")
NETWORKS = [name for name in weights.names() if "OA" in weights.card(name)["scores"]]
# Their cards were measured with a last block that overlaps; now zeros fill it, as released, and its
# answers differ: on Reggae OA 0.832 and RPA 0.786 in place of 0.849 and 0.837.
FILLED = [n for n in NETWORKS if models.NETWORKS[n].network.last_block == "filled"]
# This one's card was measured in blocks of 23 s, and it hears 46 s at a time now: Shadows gains
# 0.03 OA (VR 0.07), Britpop loses 0.01 (VFA 0.04 more); the mean stays within 0.005, see below.
LONGER = ("harmonic-crnn",)
SEPARATIONS = ("sfnmf", "sfnmf+best", "unet+best", "unet-mel")  # and unet


BEST = (weights.BEST,)
PATIENT = ("cqt-crnn-2", "deep-salience", "sf-cnn", "sf-crnn-2")
OTHERS = ("sfnmf", *(name for name in NETWORKS if name not in (*BEST, *PATIENT)))


def each_song_by(best, others, patient=None):
    """Parameters (song, methods); slow for long songs and for all methods but the best."""
    sets = [(name, methods) for name in SHORT + LONG for methods in (best, others)]
    sets += [(SHORT[-1], patient)] if patient else []
    marks = {True: [pytest.mark.slow], False: []}
    return pytest.mark.parametrize(
        ("name", "methods"),
        [pytest.param(*one, marks=marks[one[0] in LONG or one[1] is not best]) for one in sets],
    )


@pytest.fixture(scope="module", autouse=True)
def inputs_once():
    """A network's input is computed once a song, whichever networks ask for it."""
    compute, kept = inputs.FrontEnd.__call__, {}

    def once(front_end, song, *, seed=0):
        sound = hashlib.sha256(song.audio.tobytes()).hexdigest()
        key = (sound, song.sr, front_end.name, seed)
        if key not in kept:
            if len(kept) > 12:  # of a song or two
                kept.pop(next(iter(kept)))
            kept[key] = compute(front_end, song, seed=seed)
        return kept[key]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(inputs.FrontEnd, "__call__", once)
        yield


@functools.cache
def scored(folder, task, *methods):
    """{method: {figure: value}} of one song, computed once for all tests."""
    table = evaluate.evaluate_folder(folder, task, methods)
    assert not table.failures
    return {row[1]: dict(zip(table.columns[2:], row[2:], strict=True)) for row in table.rows}


def melodies(folder):
    return scored(folder, "melody", *BEST) | scored(folder, "melody", *OTHERS)


def separations(folder):
    return scored(folder, "separation", "unet") | scored(folder, "separation", *SEPARATIONS)


def recorded(task, method, song="mean"):
    """What the README tells, rounded as there."""
    rows = weights.experiments()["development"]
    return next(r for r in rows if (r["task"], r["method"], r["song"]) == (task, method, song))


@each_song_by(BEST, OTHERS, PATIENT)
def test_a_song_scores_what_the_cards_say(dev_songs, name, methods):
    for method, figures in scored(dev_songs / name, "melody", *methods).items():
        if method == "sfnmf":
            told = recorded("melody", "sfnmf", name)
        else:
            told = weights.card(method)["scores"]["best_constant"][name]
        expected = {figure: told[figure] for figure in FIGURES}
        slack = 0.055 if method in FILLED else 0.08 if method in LONGER else 0.02
        overall = 0.04 if method in LONGER else 0.02
        assert figures["OA"] == pytest.approx(expected["OA"], abs=overall), method
        assert figures == pytest.approx(expected, abs=slack), method


@pytest.mark.slow
def test_the_means_are_those_of_the_cards(dev_songs):
    """Anchors: Melodia OA 0.530, plain argmax of the published salience RPA 0.462."""
    songs = [melodies(folder) for folder in folders.song_folders(dev_songs)]
    for method in (*BEST, *OTHERS):
        mean = {figure: np.mean([song[method][figure] for song in songs]) for figure in FIGURES}
        print(method, {figure: round(float(value), 3) for figure, value in mean.items()})
        if method == "sfnmf":
            assert mean["OA"] == pytest.approx(recorded("melody", "sfnmf")["OA"], abs=0.005)
            assert mean["RPA"] >= 0.62 and mean["OA"] >= 0.58
        else:
            told = weights.card(method)["scores"]["best_constant"]["mean"]["OA"]
            assert mean["OA"] == pytest.approx(told, abs=0.005), method


@each_song_by(("unet",), SEPARATIONS)
def test_a_song_comes_apart_as_the_readme_says(dev_songs, name, methods):
    best = weights.BEST
    for label, figures in scored(dev_songs / name, "separation", *methods).items():
        method = label.replace(f"+{best}", "+best")
        told = recorded("separation", method, name)["lead_sdr_db"]
        assert figures["lead_sdr_db"] == pytest.approx(told, abs=0.3), label  # moved by up to 0.27
        assert np.isfinite(figures["accompaniment_sdr_db"])


@pytest.mark.slow
def test_means_of_the_separations(dev_songs):
    """Anchors: REPET-SIM; the best possible mask on 128 mel bands 12.2 dB."""
    songs = {f.name: separations(f) for f in folders.song_folders(dev_songs)}
    names = next(iter(songs.values()))
    mean = {n: np.mean([song[n]["lead_sdr_db"] for song in songs.values()]) for n in names}
    print({n: round(float(value), 2) for n, value in mean.items()})
    for label, value in mean.items():
        told = recorded("separation", label.replace(f"+{weights.BEST}", "+best"))
        assert value == pytest.approx(told["lead_sdr_db"], abs=0.15), label
    ranks = ["unet-mel", "unet", f"unet+{weights.BEST}", "unet (true melody)"]
    assert sorted(ranks, key=mean.get) == ranks
    repet = {name: recorded("separation", "repet-sim", name)["lead_sdr_db"] for name in songs}
    assert sum(song["unet"]["lead_sdr_db"] > repet[name] for name, song in songs.items()) >= 5


@each_song
def test_without_a_melody_the_unet_gives_next_to_nothing(dev_songs, name):
    song = evaluate.separation_excerpt(folders.read_song(dev_songs / name))
    rest = Song(song.audio - song.stems["melody"], song.sr, song.name)
    stems = separate(rest, "unet")
    np.testing.assert_allclose(sum(stems.values()), rest.audio, atol=1e-4)
    level_db = 10 * np.log10(np.mean(stems["melody"] ** 2) / np.mean(rest.audio**2))
    print(f"{name:12s} {level_db:6.1f} dB")
    assert level_db <= -15


@pytest.mark.parametrize(
    "loops", [("loop01", "loop06"), pytest.param(None, marks=pytest.mark.slow)]
)
def test_drums_are_found_and_taken_apart(dev_data, loops):
    """Anchors, eight loops of one General MIDI kit: mix -10.8 dB, true hits with one pace a class
    9.2 dB, ideal mask 14.5 dB."""
    paths = folders.song_folders(dev_data / "drumloops")
    found = {f.name: scored(f, "drums", "drum-cnn") for f in paths if not loops or f.name in loops}
    for name, song in found.items():
        told = recorded("loops", "drum-cnn", name)
        assert song["drum-cnn"]["F"] == pytest.approx(told["F"], abs=0.02), name
        assert song["drum-cnn"]["si_sdr_db"] == pytest.approx(told["si_sdr_db"], abs=0.5), name
    if loops is None:
        for label in ("drum-cnn", "drum-cnn (true onsets)"):
            told = recorded("loops", label)
            for figure, slack in (("F", 0.0075), ("si_sdr_db", 0.15)):
                if figure in told:
                    mean = np.mean([song[label][figure] for song in found.values()])
                    print(label, figure, round(float(mean), 3))
                    assert mean == pytest.approx(told[figure], abs=slack), (label, figure)


@each_song
def test_hits_on_real_drums(dev_songs, name):
    """Anchor: every onset that librosa finds, called all three classes, has a mean F of 0.63."""
    figures = scored(dev_songs / name, "drums", "drum-cnn")["drum-cnn"]
    told = recorded("real drums", "drum-cnn", name)
    # levels from what is heard moved one song: Shadows' snare by 0.07
    slack = 0.075 if name == "Shadows" else 0.025
    for figure in ("F_kick", "F_snare", "F_hihat", "F"):
        if figure in told:
            assert figures[figure] == pytest.approx(told[figure], abs=slack), figure


@pytest.mark.slow
def test_the_mean_on_real_drums(dev_songs):
    songs = [scored(f, "drums", "drum-cnn") for f in folders.song_folders(dev_songs)]
    mean = np.mean([song["drum-cnn"]["F"] for song in songs])
    print("real drums, F", round(float(mean), 4))
    assert mean == pytest.approx(recorded("real drums", "drum-cnn")["F"], abs=0.0075)
