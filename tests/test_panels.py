"""The panel that all panels are: one picture, errors in a line, a state that comes and goes."""

import base64
import io
import json
import os
import subprocess
import sys
from pathlib import Path

import ipywidgets
import matplotlib.pyplot as plt
import nbformat
import numpy as np
import pytest
from matplotlib.figure import Figure
from panel_screen import screen, tags
from PIL import Image

from melodylab.course import panel as panel_base
from melodylab.course import panels
from melodylab.records import Melody

pytestmark = pytest.mark.filterwarnings("error")


def controls():
    return {
        "height": ipywidgets.FloatSlider(value=0.5, min=0, max=1, step=0.1),
        "kind": ipywidgets.Dropdown(options=["line", "dots", "broken"]),
    }


def draw(height, kind):
    figure, ax = plt.subplots(figsize=(4, 3))  # as a student would: through pyplot, never closed
    ax.plot([0, 1], [height, height], ":" if kind == "dots" else "-")
    ax.set(title=f"{kind} at {height}", ylim=(0, 1))
    if kind == "broken":
        raise ValueError("no <such>\nkind")
    return figure


@pytest.fixture
def panel():
    return panels.Panel(draw, controls(), height_px=300)


def test_one_picture_of_fixed_height_with_alt_text(panel):
    heights = {panel.ui.children[1].layout.height}
    for height, kind in ((0.0, "line"), (1.0, "dots")):
        panel.controls["height"].value, panel.controls["kind"].value = height, kind
        [(tag, image)] = screen(panel)
        assert tag == "img" and "height:300px" in image["style"]
        assert image["alt"] == f"{kind} at {height}. height={height}, kind='{kind}'"
        assert Image.open(io.BytesIO(panel.picture.png)).size == (400, 300)
        heights.add(panel.ui.children[1].layout.height)
    assert heights == {"310px"}


def test_picture_is_that_of_the_state_and_the_same_each_time(panel):
    first = panel.picture.png
    panel.controls["height"].value = 0.2
    assert panel.picture.png != first
    panel.controls["height"].value = 0.5
    assert panel.picture.png == first


def test_sliders_report_when_let_go(panel):
    assert panel.controls["height"].continuous_update is False


@pytest.mark.slow
def test_fifty_moves_leave_no_figure(panel):
    before = plt.get_fignums()
    for n in range(50):
        panel.controls["height"].value = n / 50
    assert plt.get_fignums() == before == []


def test_figures_of_others_stay_open():
    mine = plt.figure()
    panel = panels.Panel(draw, controls())
    panel.controls["height"].value = 0.1
    assert plt.get_fignums() == [mine.number]
    plt.close(mine)


def test_an_error_is_shown_in_a_line_and_raised(panel):
    with pytest.raises(ValueError, match="no <such>"):
        panel.controls["kind"].value = "broken"
    [(tag, attributes)] = screen(panel)
    assert tag == "p" and attributes["role"] == "alert"  # and <such> became no tag
    assert (
        "height=0.5, kind=&#x27;broken&#x27;: ValueError: no &lt;such&gt; kind"
        in panel.ui.children[1].value
    )
    assert plt.get_fignums() == [], "the broken figure is still open"
    panel.controls["kind"].value = "dots"
    assert screen(panel)[0][0] == "img"


def test_draw_must_return_a_figure_or_axes():
    for wrong in (None, 3):
        with pytest.raises(TypeError, match="draw must return"):
            panels.Panel(lambda height, kind, wrong=wrong: wrong, controls())
    panel = panels.Panel(lambda height, kind: Figure(figsize=(2, 1)).subplots(), controls())
    assert Image.open(io.BytesIO(panel.picture.png)).size == (200, 100)


def test_state_goes_out_and_comes_back(panel):
    panel.controls["height"].value = 0.1 + 0.2
    assert panel.state == {"height": 0.3, "kind": "line"}
    assert (
        json.loads(json.dumps(panel.state)) == panel.state
        and repr(panel) == "Panel(height=0.3, kind='line')"
    )
    other = panels.Panel(draw, controls(), height_px=300)
    other.set(**panel.state)
    assert other.state == panel.state and other.picture.png == panel.picture.png


def test_set_draws_once():
    calls = []
    panel = panels.Panel(lambda **state: calls.append(state) or draw(**state), controls())
    panel.set(height=1.0, kind="dots")
    assert calls == [{"height": 0.5, "kind": "line"}, {"height": 1.0, "kind": "dots"}]


@pytest.mark.parametrize(
    "state", [{"height": 7.0}, {"kind": "dots", "height": -1.0}, {"kind": "circus"}, {"weight": 1}]
)
def test_set_refuses_what_the_controls_cannot_take(panel, state):
    before, picture = panel.state, panel.picture
    with pytest.raises(
        ValueError,
        match=f"{list(state)[-1]} cannot be|this panel has no weight; it has height, kind",
    ):
        panel.set(**state)
    assert panel.state == before and panel.picture is picture


def test_draw_by_hand_moves_nothing(panel):
    figure = panel.draw(height=0.9)
    assert figure.axes[0].get_title() == "line at 0.9" and panel.state["height"] == 0.5
    plt.close(figure)


def test_sound_follows_the_state():
    class Html:
        def __init__(self, data):
            self.data = data

    panel = panels.Panel(
        draw, controls(), sound=lambda height, kind: Html(f"<audio title='{height}'></audio>")
    )
    panel.controls["height"].value = 0.8
    assert panel.ui.children[2].value == "<audio title='0.8'></audio>"
    with pytest.raises(ValueError):
        panel.controls["kind"].value = "broken"
    assert panel.ui.children[2].value == "", "a player that belongs to no picture"


def test_a_picture_stands_ahead_of_the_panel_and_hides_while_it_lives(panel, monkeypatch):
    shown = []
    monkeypatch.setattr(panel_base, "display", lambda data, **told: shown.append((data, told)))
    monkeypatch.setattr(panel_base, "get_ipython", lambda: True)
    panel._ipython_display_()
    (still, told), (live, _) = shown
    assert still["image/png"] == base64.b64encode(panel.picture.png).decode()
    assert told["metadata"]["image/png"]["alt"].startswith("line at 0.5")
    assert still["text/plain"] == "Panel(height=0.5, kind='line')"
    assert panel_base.WIDGET_VIEW not in still, "JupyterLab would show it, or its absence, alone"
    assert panel.picture.html(300) in still["text/html"]
    assert panel_base.ASLEEP in still["text/html"]
    [(_, around)] = [tag for tag in tags(still["text/html"]) if tag[0] == "div"]
    assert set(live) == {panel_base.WIDGET_VIEW}, "a reader without widgets sees no second thing"
    assert live[panel_base.WIDGET_VIEW]["model_id"] == panel.ui.model_id
    hides = f".{around['class'].split()[1]} {{display: none}}"
    assert hides in panel.ui.children[-1].value


@pytest.mark.slow
@pytest.mark.parametrize("ground", [0.0, 255.0])
def test_pictures_read_on_light_and_dark_pages(ground):
    figure = Figure(figsize=(6, 3), layout="constrained")
    plain, image = figure.subplots(1, 2)
    plain.plot([0, 1], [0, 1], color="black", label="a line")
    plain.legend()
    plain.set(title="Title", xlabel="Time (s)")
    image.imshow(np.eye(3), cmap="gray")
    image.text(1, 1, "black on white", color="black")
    picture = panels.Picture(figure, "a line and an image")
    pixels = np.asarray(Image.open(io.BytesIO(picture.png)).convert("RGBA"), float)
    clear = pixels[..., 3] < 128
    assert clear[:, :300].mean() > 0.9 and clear[[0, -1]].all(), "a ground of its own"
    shade = pixels[:, :300, :3][~clear[:, :300]].mean(axis=-1)
    assert len(shade) > 500 and np.abs(shade - ground).min() > 60, "lost on such a page"
    assert pixels[:, 300:, :3][~clear[:, 300:]].min() < 10, "what lies on an image keeps its colour"


def test_show_gives_alt_text_and_closes(monkeypatch):
    shown = []
    monkeypatch.setattr(panel_base, "display", shown.append)
    _, ax = plt.subplots()
    panels.show(ax, alt="A line\n  that rises")
    data, metadata = shown[0]._repr_mimebundle_()
    assert (
        metadata == {"image/png": {"alt": "A line that rises"}}
        and data["text/plain"] == "A line that rises"
    )
    assert plt.get_fignums() == []


def test_pictures_are_light():
    figure = Figure(figsize=(10, 4), layout="constrained")
    noise = np.random.default_rng(0).random((400, 900)).cumsum(axis=1) % 1
    figure.subplots().imshow(noise, cmap="magma", aspect="auto")
    full = io.BytesIO()
    figure.savefig(full, format="png", dpi=panels.DPI)
    assert len(panels.Picture(figure, "noise").png) < 0.6 * len(full.getvalue())


def test_revoiced_keeps_pitches_and_moves_the_threshold():
    melody = Melody(np.arange(4.0), [100, 200, 300, np.nan], [0.1, 0.4, 0.9, 0.2])
    assert panels.revoiced(melody, 0.4).voicing.tolist() == [0, 1, 1, 0]
    assert panels.revoiced(melody, 0).voiced.tolist() == [
        True,
        True,
        True,
        False,
    ]  # no pitch, nothing to voice
    np.testing.assert_array_equal(panels.revoiced(melody, 0.4).f0_hz, melody.f0_hz)


@pytest.mark.slow
def test_a_failing_callback_fails_the_notebook_cell(tmp_path):
    cells = [
        "import ipywidgets\nfrom matplotlib.figure import Figure\n"
        "from melodylab.course import panels\n"
        "def draw(n):\n    if n == 3:\n        raise ValueError('planted')\n"
        "    return Figure(figsize=(2, 1))\n"
        "panel = panels.Panel(draw, {'n': ipywidgets.IntSlider(value=1, min=0, max=5)})\npanel",
        "panel.controls['n'].value = 2",
        "panel.controls['n'].value = 3",
        "panel.set(n=4)",
    ]
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(cell) for cell in cells])
    notebook.metadata["kernelspec"] = {
        "name": "python3",
        "display_name": "Python 3",
        "language": "python",
    }
    nbformat.write(notebook, tmp_path / "planted.ipynb")
    command = [
        "-m",
        "pytest",
        "--nbval-lax",
        "--nbval-current-env",
        "-p",
        "no:cacheprovider",
        "-rA",
        "planted.ipynb",
    ]
    root = str(Path(panels.__file__).parents[3])
    path = os.pathsep.join(filter(None, [root, os.environ.get("PYTHONPATH")]))
    environment = os.environ | {"PYTHONPATH": path}
    done = subprocess.run(
        [sys.executable, *command],
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        text=True,
        timeout=300,
    )
    for n, outcome in enumerate(("PASSED", "PASSED", "FAILED", "PASSED")):
        assert f"{outcome} planted.ipynb::Cell {n}" in done.stdout, done.stdout[-3000:]
