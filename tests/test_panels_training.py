"""What notebook 10 shows while a network learns."""

import io

import matplotlib.pyplot as plt
import pytest
from panel_screen import screen
from PIL import Image

from melodylab import models, synth, training
from melodylab.course import panels
from melodylab.course.panels import train

pytestmark = pytest.mark.filterwarnings("error")


def test_live_loss_draws_every_so_many_steps(monkeypatch):
    shown = []

    class Handle:
        def update(self, picture):
            shown.append(picture)

    monkeypatch.setattr(train, "display", lambda picture, **_: shown.append(picture) or Handle())
    live = panels.LiveLoss(every=2)
    live(1, 4.0)
    live(2, 3.0)  # nobody looks yet
    assert live.losses == [4.0, 3.0] and repr(live) == "LiveLoss()"
    assert live.picture.alt == "The loss went from 4.00 to 3.00 in 2 steps"
    live._ipython_display_()
    assert shown == [live.picture]
    live(3, 2.0)
    assert len(shown) == 1
    live(4, 1.0)
    assert shown[1:] == [live.picture] and live.picture.png != shown[0].png
    assert plt.get_fignums() == []


def test_live_loss_begins_with_a_picture_of_the_same_size():
    live = panels.LiveLoss(every=1)
    assert live.picture.alt == "Nothing learned yet"
    before = Image.open(io.BytesIO(live.picture.png)).size
    live(1, 4.0)
    assert Image.open(io.BytesIO(live.picture.png)).size == before


@pytest.fixture
def second():
    """A song of a second with its melody."""
    return synth.demo_song(seed=0, seconds=4).excerpt(2.5, 3.5)


@pytest.mark.slow
def test_training_panel_hands_its_settings_to_the_training_once_each(second, monkeypatch, tmp_path):
    asked, losses = [], [4.0, 3.5]

    def fit(recipe, *, validate, device, features, on_step):
        asked.append(training.Recipe.from_dict(recipe))
        assert validate == [second] and features == tmp_path
        for step, loss in enumerate(losses, 1):
            on_step(step, loss)
        return models.create_model(recipe["model"]["name"]), []

    monkeypatch.setattr(training, "fit", fit)
    panel = panels.training_panel(second, steps=2, songs=(1, 3), seconds=5, features=tmp_path)
    assert panel.ui.children[-1].value == "step 2 of 2: loss 3.50"
    assert "A song it never heard" in panel.picture.alt
    panel.set(songs=1, learning_rate=1e-2, rests=False, formant_voice=False)
    panel.set(drums=False)
    panel.draw(
        songs=3, learning_rate=3e-3, rests=True, formant_voice=True, drums=True
    )  # known already
    assert [recipe.data.songs for recipe in asked] == [3, 1, 1]
    assert [recipe.training.learning_rate for recipe in asked] == [3e-3, 1e-2, 1e-2]
    switches = [
        (r.data.ingredients.formant_voice, r.data.ingredients.rests, r.data.ingredients.drums)
        for r in asked
    ]
    assert switches == [(True, True, True), (False, False, True), (False, False, False)]
    assert {(r.model, r.training.steps, r.data.seconds) for r in asked} == {("cqt-crnn-1", 2, 5.0)}


@pytest.mark.slow
def test_training_panel_trains(second):
    panel = panels.training_panel(second, steps=2, songs=(1,), seconds=2)
    left, right = panel.draw().axes
    losses = left.lines[0].get_ydata()
    assert (
        len(losses) == 2 and 3 < losses[0] < 6
    )  # a fresh network is as surprised as among 62 equals: 4.1
    assert right.get_title().startswith("A song it never heard:  RPA ")
    assert [tag for tag, _ in screen(panel)] == ["img"] and plt.get_fignums() == []
