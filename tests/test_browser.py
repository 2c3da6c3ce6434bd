"""The panels as a student sees them: JupyterLab in a real browser, a slider moved by keyboard.

One JupyterLab on this machine's own loop serves the module, in a temporary folder, with
temporary settings and no way out to any network. MELODYLAB_SCREENSHOTS names a folder that
keeps the screenshots.
"""

import os
import secrets
import shutil
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path

import nbformat
import pytest
from needed_cells import needed

from melodylab.course.panel import ASLEEP

pytestmark = pytest.mark.slow

ROOT = Path(__file__).resolve().parents[1]
BROWSERS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
QUIET_BROWSER = [
    "--no-sandbox",  # the tests may run as root
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--disable-dev-shm-usage",
    "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1",
]
SETTINGS = {
    # every cell is in the page, also out of view
    "notebook-extension/tracker": '{"windowingMode": "none"}',
    "apputils-extension/notification": '{"fetchNews": "false", "checkForUpdates": false}',
}
PANEL = """
import ipywidgets
from matplotlib.figure import Figure
from melodylab.course import panels

def draw(f0_hz, cycles):
    figure = Figure(figsize=(8, 3), layout="constrained")
    ax = figure.subplots()
    ax.plot([n / 100 * cycles / f0_hz for n in range(101)], [n % 20 for n in range(101)])
    ax.set(title=f"{cycles} periods of {f0_hz} Hz", xlabel="Time (s)", ylabel="Amplitude")
    if f0_hz == 220 and cycles == 4:
        raise ValueError("planted <trouble>")
    return figure

panel = panels.Panel(draw, {
    "f0_hz": ipywidgets.IntSlider(value=220, min=110, max=440, step=10),
    "cycles": ipywidgets.IntSlider(value=2, min=1, max=4),
}, height_px=300)
panel
"""
PICTURE = """
figure = Figure(figsize=(4, 2))
figure.subplots().plot([1, 3, 2])
panels.show(figure, alt="A line that goes up and down")
"""


@pytest.fixture(scope="module")
def lab(tmp_path_factory):
    """(address, token, folder) of a running JupyterLab whose kernels use this environment
    and this checkout.
    """
    folder, home = tmp_path_factory.mktemp("notebooks"), tmp_path_factory.mktemp("home")
    for name, text in SETTINGS.items():
        file = home / "settings" / "@jupyterlab" / f"{name}.jupyterlab-settings"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
    environment = {
        key: value for key, value in os.environ.items() if key != "MPLBACKEND"
    }  # notebooks choose their own
    environment |= {
        "PYTHONPATH": os.pathsep.join(filter(None, [str(ROOT), environment.get("PYTHONPATH")])),
        "JUPYTER_CONFIG_DIR": str(home / "config"),
        "JUPYTER_DATA_DIR": str(home / "data"),
        "JUPYTER_RUNTIME_DIR": str(home / "runtime"),
        "JUPYTERLAB_SETTINGS_DIR": str(home / "settings"),
        "JUPYTERLAB_WORKSPACES_DIR": str(home / "workspaces"),
        "IPYTHONDIR": str(home / "ipython"),
    }
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    token = secrets.token_hex(16)
    command = [
        sys.executable,
        "-m",
        "jupyterlab",
        "--no-browser",
        "--allow-root",
        "--ServerApp.ip=127.0.0.1",
        f"--ServerApp.port={port}",
        "--ServerApp.port_retries=0",
        f"--ServerApp.root_dir={folder}",
        f"--IdentityProvider.token={token}",
        "--LabApp.expose_app_in_browser=True",
        "--LabApp.extension_manager=readonly",
        "--LabApp.news_url=None",
        "--LabApp.check_for_updates_class=jupyterlab.handlers.announcements.NeverCheckForUpdate",
    ]
    log = home / "server.log"
    with open(log, "wb") as output:
        server = subprocess.Popen(
            command, cwd=folder, env=environment, stdout=output, stderr=subprocess.STDOUT
        )
    try:
        address = f"http://127.0.0.1:{port}"
        _wait_for_server(f"{address}/api/status?token={token}", server, log)
        yield address, token, folder
    finally:
        server.terminate()  # JupyterLab ends its kernels on the way out
        try:
            server.wait(timeout=20)
        except subprocess.TimeoutExpired:
            server.kill()
            server.wait()


def _wait_for_server(url, server, log, seconds=90):
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline and server.poll() is None:
        try:
            with urllib.request.urlopen(url, timeout=5):
                return
        except (urllib.error.URLError, OSError):
            time.sleep(0.1)
    pytest.fail(f"JupyterLab did not start:\n{log.read_text()[-3000:]}")


@pytest.fixture(scope="module")
def browser():
    playwright = pytest.importorskip("playwright.sync_api", reason="Playwright is not installed")
    executable = next(filter(None, map(shutil.which, BROWSERS)), None)
    if executable is None:
        pytest.skip("no Chromium on this machine")
    with playwright.sync_playwright() as running:
        chromium = running.chromium.launch(executable_path=executable, args=QUIET_BROWSER)
        yield chromium
        chromium.close()


@pytest.fixture
def page(browser):
    """A fresh page that must stay on this machine and must not stumble."""
    page = browser.new_page(viewport={"width": 1280, "height": 720})
    page.set_default_timeout(60_000)
    outside, crashes = [], []
    page.on(
        "request", lambda request: outside.append(request.url) if _leaves(request.url) else None
    )
    page.on("pageerror", lambda error: crashes.append(str(error)))
    yield page
    page.close()
    assert not outside, f"the page asked for {outside}"
    assert not crashes, crashes


def _leaves(url):
    return not url.startswith(("http://127.0.0.1:", "ws://127.0.0.1:", "data:", "blob:"))


def run_all(page, lab, notebook, seconds=900):
    """Open a notebook of the served folder, run all its cells, and fail on an error or a warning
    in any of them.
    """
    address, token, _ = lab
    page.goto(f"{address}/doc/tree/{notebook}?token={token}&reset")
    page.wait_for_function(
        "() => window.jupyterapp?.shell.currentWidget?.sessionContext?.session?.kernel?.status "
        "=== 'idle'",
        timeout=120_000,
    )
    page.evaluate(
        """seconds => Promise.race([
            window.jupyterapp.commands.execute('notebook:run-all-cells'),
            new Promise((_, fail) => setTimeout(
                () => fail(`the cells took more than ${seconds} s`), seconds * 1000)),
        ])""",
        seconds,
    )
    errors = page.evaluate(
        """() => {
            const cells = [...window.jupyterapp.shell.currentWidget.content.model.cells];
            return cells.filter(cell => cell.type === 'code')
                .flatMap(cell => cell.outputs.toJSON())
                .filter(output => output.output_type === 'error' || output.name === 'stderr')
                .map(output => output.text || `${output.ename}: ${output.evalue}`);
        }"""
    )
    assert not errors, errors


def press(page, panel, slider, key="ArrowRight"):
    """Move one slider of a panel by keyboard and wait until the panel shows another picture."""
    picture = panel.locator("img").first
    before = picture.get_attribute("src")
    slider.scroll_into_view_if_needed()
    slider.focus()
    page.keyboard.press(key)
    page.wait_for_function(
        "([element, before]) => element.querySelector('img') && "
        "element.querySelector('img').src !== before",
        arg=[panel.element_handle(), before],
    )


def loaded(page, panel):
    """Wait until the panel's picture is decoded; returns (width, height) of the PNG."""
    page.wait_for_function(
        "element => element.querySelector('img')?.naturalWidth > 0", arg=panel.element_handle()
    )
    return panel.locator("img").first.evaluate("image => [image.naturalWidth, image.naturalHeight]")


def keep(page, name, folder):
    folder = Path(os.environ.get("MELODYLAB_SCREENSHOTS") or folder)
    folder.mkdir(parents=True, exist_ok=True)
    page.screenshot(path=folder / f"{name}.png")


def write_notebook(path, *cells):
    notebook = nbformat.v4.new_notebook(
        cells=[nbformat.v4.new_code_cell(cell.strip()) for cell in cells]
    )
    notebook.metadata["kernelspec"] = {
        "name": "python3",
        "display_name": "Python 3",
        "language": "python",
    }
    nbformat.write(notebook, path)


def test_panel_moves_in_a_real_browser(page, lab, tmp_path):
    write_notebook(lab[2] / "panel.ipynb", PANEL, PICTURE)
    run_all(page, lab, "panel.ipynb")
    f0_hz, cycles = page.locator(".melodylab-panel .noUi-handle").all()
    panel = page.locator(".melodylab-panel")
    assert panel.locator("img").count() == 1
    assert loaded(page, panel) == [800, 300]
    height = panel.bounding_box()["height"]

    press(page, panel, f0_hz)
    assert "periods of 230 Hz" in panel.locator("img").get_attribute("alt")
    assert loaded(page, panel) == [800, 300] and panel.bounding_box()["height"] == height
    keep(page, "panel", tmp_path)

    press(page, panel, f0_hz, "ArrowLeft")
    cycles.focus()
    page.keyboard.press("End")  # to 4, which fails
    alert = panel.get_by_role("alert")
    alert.wait_for()
    assert "ValueError: planted <trouble>" in alert.inner_text()
    assert panel.bounding_box()["height"] == height, "an error makes the page jump"
    keep(page, "panel_error", tmp_path)
    page.keyboard.press("ArrowLeft")  # and the panel lives on
    panel.locator("img").wait_for()

    spoken = page.get_by_text("A line that goes up and down", exact=True)
    assert (
        spoken.count() == 1 and spoken.bounding_box()["height"] <= 1
    )  # for the ear, not for the eye
    assert page.locator(".jp-RenderedImage img").count() == 1
    assert page.get_by_text("Error displaying widget").count() == 0


def test_the_next_day_the_picture_stands(page, lab, tmp_path):
    """Saved, its kernel shut down, opened again: no panel, and no words about a missing one."""
    write_notebook(lab[2] / "tomorrow.ipynb", PANEL)
    run_all(page, lab, "tomorrow.ipynb")
    page.locator(".melodylab-panel img").wait_for()
    still = page.locator(".melodylab-still img")
    assert still.count() == 1 and not still.is_visible(), "the same picture twice"
    for slider in page.locator(".melodylab-panel [role=slider]").all():
        assert slider.get_attribute("aria-label") in ("f0 hz", "cycles")
    page.evaluate("() => window.jupyterapp.commands.execute('docmanager:save')")
    page.evaluate("() => window.jupyterapp.shell.currentWidget.sessionContext.shutdown()")
    address, token, folder = lab
    page.goto(f"{address}/doc/tree/tomorrow.ipynb?token={token}&reset")
    still.wait_for()
    page.wait_for_timeout(5000)  # Lab looks for the model, and gives up after two seconds
    assert still.is_visible() and still.evaluate("image => image.naturalWidth") == 800
    assert page.get_by_text("run this cell (Shift+Enter) to move it").is_visible()
    assert not any(line.is_visible() for line in page.get_by_text("Error displaying").all())
    keep(page, "tomorrow", tmp_path)
    outputs = nbformat.read(folder / "tomorrow.ipynb", as_version=4).cells[0].outputs
    assert "image/png" in outputs[0].data and "text/html" in outputs[0].data


STEPS = """
from melodylab import synth
from melodylab.course.panels import step_panel

loop = synth.drum_loop(217, 4)
step_panel(loop, loop.onsets)
"""


def test_a_step_is_switched_in_a_real_browser(page, lab, tmp_path):
    write_notebook(lab[2] / "steps.ipynb", STEPS)
    run_all(page, lab, "steps.ipynb")
    panel = page.locator(".melodylab-panel")
    loaded(page, panel)
    hits = int(panel.locator("img").get_attribute("alt").split(", ")[1].split()[0])
    title = panel.locator('button.mod-active[title^="snare, bar 1"]').first.get_attribute("title")
    step = panel.locator(f'button[title="{title}"]')
    assert step.inner_text() == "●"
    step.click()
    removed = "element => element.querySelector('img')?.alt.includes('1 removed')"
    page.wait_for_function(removed, arg=panel.element_handle())
    assert (
        f"{hits - 1} hits (0 added, 1 removed)" in panel.locator("img").get_attribute("alt")
        and "●" not in step.inner_text()
    )
    panel.get_by_role("button", name="snare", exact=True).last.click()  # solo
    page.wait_for_function(
        "element => element.querySelector('audio')?.ariaLabel === 'snare'",
        arg=panel.element_handle(),
    )
    keep(page, "steps", tmp_path)


NOTEBOOKS = [
    "00_tour",
    "01_representations",
    "02_source_filter_nmf",
    "03_crnn",
    "04_multiresolution_cnn",
    "05_ftanet_attention",
    "06_unet_masking",
    "07_drums",
    "10_train_your_own",
]


@pytest.mark.parametrize("name", NOTEBOOKS)
def test_the_panels_of_a_notebook_move(name, page, lab, tmp_path):
    """That all of its cells run, nbval shows; here run those that its panels need."""
    cells = nbformat.read(ROOT / "notebooks" / f"{name}.ipynb", as_version=4).cells
    cells = [cell for cell in cells if cell.cell_type == "code"]
    sources = [cell.source for cell in cells]
    with_panel = [n for n, cell in enumerate(cells) if ASLEEP in str(cell.outputs)]
    write_notebook(lab[2] / f"{name}.ipynb", *[sources[n] for n in needed(sources, with_panel)])
    run_all(page, lab, f"{name}.ipynb")
    keep(page, f"{name}_top", tmp_path)
    panels = page.locator(".melodylab-panel").all()
    assert len(panels) >= len(with_panel) > 0, "a panel is missing"
    for number, panel in enumerate(panels):
        loaded(page, panel)
        height = panel.bounding_box()["height"]
        assert height <= 600, f"{height:.0f} px do not fit a projector of 720"
        handle = panel.locator(
            ".noUi-target:not([disabled]) .noUi-handle"
        ).first  # one that means something here
        at_end = handle.get_attribute("aria-valuenow") == handle.get_attribute("aria-valuemax")
        press(page, panel, handle, "ArrowLeft" if at_end else "ArrowRight")
        loaded(page, panel)
        assert panel.bounding_box()["height"] == height
        keep(page, f"{name}_panel_{number}", tmp_path)
    assert page.get_by_text("Error displaying widget").count() == 0
    page.evaluate("() => window.jupyterapp.shell.currentWidget.sessionContext.shutdown()")
