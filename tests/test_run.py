"""From a song to a network's salience: blocks on an absolute grid, and front ends on one frame
clock.
"""

import numpy as np
import pytest
import torch
from conftest import SMALL

from melodylab import explain, models
from melodylab.dsp import grids
from melodylab.errors import InputError
from melodylab.models import inputs, run
from melodylab.models.base import Network
from melodylab.records import Features

SR, HOP_SAMPLES = 22050, 256


def picture(values, grid=inputs.FRONT_ENDS["sf"].grid):
    values = np.asarray(values, dtype=np.float32)
    return Features(
        values, grid.freqs_hz, grids.frame_times_s(values.shape[2], HOP_SAMPLES, SR), "test"
    )


class Labelled(Network):
    """Answers each frame with what it got there, the number of the call, and where in its block it
    stands: (3, time).
    """

    grid = grids.PitchGrid(55.0, 12, 2)

    def __init__(self, context_frames=0, last_block="short"):
        super().__init__()
        self.context_frames, self.last_block, self.shapes = context_frames, last_block, []

    def forward(self, x):
        self.shapes.append(tuple(x.shape))
        place = torch.arange(x.shape[3]).expand(len(x), -1)
        blocks = len(x) * (len(self.shapes) - 1) + torch.arange(len(x))[:, None].expand(
            -1, x.shape[3]
        )
        return torch.stack([x[:, 0, 0], blocks.float(), place.float()], dim=1)


def counted(frames):
    """Features whose first bin says which frame it is."""
    values = np.zeros((1, 301, frames))
    values[0, 0] = np.arange(frames)
    return picture(values)


pytestmark = pytest.mark.filterwarnings("error::RuntimeWarning")


@pytest.fixture(scope="module")
def networks():
    """One of each kind, with first numbers that let probabilities differ from frame to frame."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(1)
        made = {name: models.create_model(name) for name in ("cqt-crnn-1", "deep-salience")}
    with torch.no_grad():
        made["cqt-crnn-1"].dense.weight *= 20
    made["deep-salience"].block_frames = 30  # any length would do; this one is quick
    return made


def noise_for(name, frames, seed=0):
    end = inputs.FRONT_ENDS[models.NETWORKS[name].front_end]
    values = np.random.default_rng(seed).random((end.channels, end.grid.n_bins, frames))
    return picture(values, end.grid)


# --- blocks ---------------------------------------------------------------------------------------


def spans(frames, *, last_block, context_frames=0):
    """[(first, stop, start, end)] of a network with blocks of 500 frames."""
    model = Labelled(context_frames, last_block)
    return run.blocks(model, frames)


@pytest.mark.parametrize(
    "frames, short, overlapping",
    [
        (1, [(0, 1)], [(0, 1)]),
        (499, [(0, 499)], [(0, 499)]),
        (500, [(0, 500)], [(0, 500)]),
        (501, [(0, 500), (500, 501)], [(0, 500), (1, 501)]),
        (1000, [(0, 500), (500, 1000)], [(0, 500), (500, 1000)]),
        (1234, [(0, 500), (500, 1000), (1000, 1234)], [(0, 500), (500, 1000), (734, 1234)]),
    ],
)
def test_the_rest_is_a_short_block_and_overlaps_where_a_network_says_so(frames, short, overlapping):
    for last_block, expected in (("short", short), ("overlap", overlapping), ("filled", short)):
        found = spans(frames, last_block=last_block)
        assert [span[:2] for span in found] == expected
        assert all(span[:2] == span[2:] for span in found), "no context: what is answered is heard"


@pytest.mark.slow
def test_a_frame_more_than_whole_blocks_costs_little_more_but_for_the_crnns():
    def heard(frames, name):
        model = models.create_model(name, **SMALL.get(name, {}))
        return sum(end - start for *_, start, end in run.blocks(model, frames))

    for name, declared in models.NETWORKS.items():
        for blocks in (1, 2):
            whole = blocks * declared.network.block_frames
            more = heard(whole + 1, name) - heard(whole, name)
            block, context = declared.network.block_frames, declared.network.context_frames
            assert more == (block if declared.file == "crnn" else 1 + context + bool(context)), name


def test_predictions_of_an_overlapping_last_block_overwrite():
    model = Labelled(last_block="overlap")
    frame, block, place = run.logits(model, counted(1234))
    n = np.arange(1234)
    assert np.array_equal(frame, n), "each frame is answered where it stands"
    assert np.array_equal(block, np.select([n >= 734, n >= 500], [2, 1], 0))
    assert np.array_equal(place, np.select([n >= 734, n >= 500], [n - 734, n - 500], n))
    assert model.shapes == [(1, 1, 301, 500)] * 3


def test_a_block_that_wants_filling_is_filled_with_zeros_and_answers_its_own_frames():
    model = Labelled(last_block="filled")
    frame, block, place = run.logits(model, counted(734))
    n = np.arange(734)
    assert np.array_equal(frame, n) and np.array_equal(block, n >= 500)
    assert np.array_equal(place, n % 500) and model.shapes == [(1, 1, 301, 500)] * 2


def test_context_surrounds_a_block_where_there_is_song():
    model = Labelled(context_frames=7)
    frame, _, place = run.logits(model, counted(1234))
    assert np.array_equal(frame, np.arange(1234))
    assert [shape[3] for shape in model.shapes] == [507, 514, 241]
    assert place[0] == 0 and place[500] == 7 and place[999] == 506 and place[1000] == 7


@pytest.mark.parametrize("context_frames", [0, 7])
def test_several_blocks_at_once_are_the_same_blocks(context_frames):
    one, three = Labelled(context_frames), Labelled(context_frames)
    alone, together = (
        run.logits(m, counted(2600), blocks_at_once=n) for m, n in ((one, 1), (three, 3))
    )
    assert np.array_equal(alone[[0, 2]], together[[0, 2]])
    assert max(shape[0] for shape in three.shapes) > 1 == max(shape[0] for shape in one.shapes)


@pytest.mark.slow
@pytest.mark.parametrize("name, frames", [("cqt-crnn-1", 1100), ("deep-salience", 100)])
def test_results_do_not_depend_on_blocks_at_once(name, frames, networks):
    sound = noise_for(name, frames)
    first, *others = (run.salience(networks[name], sound, blocks_at_once=n) for n in (1, 2, 5))
    assert first.values.std() > 1e-4
    for other in others:
        np.testing.assert_allclose(other.values, first.values, atol=1e-6)
        np.testing.assert_allclose(other.unvoiced, first.unvoiced, atol=1e-6)


@pytest.mark.slow
def test_no_border_shows_where_a_network_has_no_memory(networks):
    model, sound = networks["deep-salience"], noise_for("deep-salience", 100)
    with torch.inference_mode():
        whole = model(torch.from_numpy(sound.values.copy())[None])[0].numpy()
    np.testing.assert_allclose(run.logits(model, sound), whole, atol=1e-5)


def test_a_song_of_one_block_or_less_is_the_network_itself(networks):
    model = networks["cqt-crnn-1"]
    for frames in (1, 30, 500):
        sound = noise_for("cqt-crnn-1", frames)
        with torch.inference_mode():
            whole = model(torch.from_numpy(sound.values.copy())[None])[0].numpy()
        np.testing.assert_allclose(run.logits(model, sound), whole, atol=1e-5)


def test_a_network_in_training_is_heard_as_it_would_decide_and_stays_in_training(networks):
    model, sound = networks["cqt-crnn-1"], noise_for("cqt-crnn-1", 100)
    decided = run.logits(model, sound)
    before = {key: tensor.clone() for key, tensor in model.state_dict().items()}
    try:
        assert np.array_equal(run.logits(model.train(), sound), decided) and model.training
    finally:
        model.eval()
    assert all(torch.equal(tensor, before[key]) for key, tensor in model.state_dict().items())


def test_features_of_another_front_end_are_refused(networks):
    with pytest.raises(
        InputError,
        match=r"\(6, 360, 40\) do not fit .* cqt-crnn-1 \(it hears 1 channels of 301 rows\); use",
    ):
        run.salience(networks["cqt-crnn-1"], noise_for("deep-salience", 40))


@pytest.mark.parametrize("name", models.NETWORKS)
def test_every_network_says_what_it_hears(name):
    """Its own front end's pictures fit, and no other kind's; a mask's network takes any number of
    bands where it says so.
    """
    model, fits = models.create_model(name, **SMALL.get(name, {})), set()
    for kind, end in inputs.FRONT_ENDS.items():
        if not model.misfit((end.channels, len(end.freqs_hz), 9)):
            fits.add(kind)
    own = inputs.FRONT_ENDS[models.NETWORKS[name].front_end]
    alike = {
        kind
        for kind, end in inputs.FRONT_ENDS.items()
        if (end.channels, len(end.freqs_hz)) == (own.channels, len(own.freqs_hz))
    }
    assert fits == (alike if name != "unet-mel" else {"mel", "spectra"})


def test_what_goes_wrong_inside_a_network_is_told_in_its_own_words():
    """Out of memory is no fault of the features."""

    class Full(Labelled):
        def forward(self, x):
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB")

    for look in (run.logits, run.salience, lambda m, f: explain.activations(m, f, "part")):
        model = Full()
        model.part = torch.nn.Identity()
        with pytest.raises(torch.OutOfMemoryError, match="^CUDA out of memory. Tried"):
            look(model, counted(3))


# --- salience -------------------------------------------------------------------------------------


class Answer(Network):
    """Gives the logits it was made with."""

    def __init__(self, logits, grid, has_unvoiced_class):
        super().__init__()
        self.logits, self.grid, self.has_unvoiced_class = (
            torch.tensor(logits, dtype=torch.float32),
            grid,
            has_unvoiced_class,
        )

    def forward(self, x):
        return self.logits[None]


def test_a_softmax_is_split_into_notes_and_none():
    logits = (
        np.log([[0.5, 0.1], [0.3, 0.6], [0.2, 0.3]]) + 800
    )  # what all of a frame share cancels out; exp(800) overflows
    sound = Features(np.ones((1, 1, 2)), [1.0], [0.0, 1.0], "test")
    salience = run.salience(
        Answer(logits, grids.PitchGrid(55.0, 12, 2), True), sound, unvoiced_gain=1.5
    )
    np.testing.assert_allclose(salience.values, [[0.3, 0.6], [0.2, 0.3]], rtol=1e-4)
    np.testing.assert_allclose(salience.unvoiced, [0.75, 0.15], rtol=1e-4)
    np.testing.assert_allclose(salience.freqs_hz, [55, 55 * 2 ** (1 / 12)])


def test_a_sigmoid_is_held_against_one_threshold():
    sound = Features(np.ones((1, 1, 2)), [1.0], [0.0, 1.0], "test")
    salience = run.salience(
        Answer([[0.0, 100.0], [-100.0, 2.0]], grids.PitchGrid(55.0, 12, 2), False),
        sound,
        threshold=0.4,
    )
    np.testing.assert_allclose(salience.values, [[0.5, 1.0], [0.0, 0.880797]], atol=1e-6)
    np.testing.assert_allclose(salience.unvoiced, 0.4)


@pytest.mark.parametrize("name", ["cqt-crnn-1", "deep-salience"])
def test_silent_frames_have_no_evidence(name, networks):
    sound = noise_for(name, 60)
    values = sound.values.copy()
    values[:, :, 20:30] = 0
    salience = run.salience(
        networks[name], picture(values, inputs.FRONT_ENDS[models.NETWORKS[name].front_end].grid)
    )
    silent = (np.arange(60) >= 20) & (np.arange(60) < 30)
    assert not salience.values[:, silent].any() and salience.values[:, ~silent].all()
