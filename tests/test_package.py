"""The parcel: what is declared, pinned, built and promised fits together; the wheel works."""

import ast
import importlib.metadata
import json
import os
import re
import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path

import numpy as np
import pytest
import soundfile as sf
import yaml
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).resolve().parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
EXTRAS = PROJECT["optional-dependencies"]
CITATION = yaml.safe_load((ROOT / "CITATION.cff").read_text())


def tracked_texts():
    """{path: text} of everything that would be published, pictures and sound left out."""
    done = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT,
        capture_output=True,
        text=True,
    )
    if done.returncode:
        pytest.skip("not a git checkout")
    texts = {}
    for name in filter(None, done.stdout.split("\0")):
        try:
            texts[name] = (ROOT / name).read_text(encoding="utf-8")
        except (UnicodeDecodeError, FileNotFoundError):
            continue
    assert {"README.md", "pyproject.toml", "melodylab/cli/app.py"} <= set(texts)
    return texts


def names(requirements):
    return {canonicalize_name(Requirement(r).name) for r in requirements}


def constraints():
    lines = [
        line.split("#")[0].strip()
        for line in (ROOT / "binder" / "constraints.txt").read_text().splitlines()
    ]
    return [Requirement(line) for line in lines if line]


# --- what is declared -----------------------------------------------------------------------------


def test_dependencies_are_the_promised_ones():
    core = (
        "numpy scipy soundfile soxr librosa torch safetensors mir-eval matplotlib ipywidgets "
        "pretty-midi click tqdm joblib lazy-loader tabulate"
    )
    assert names(PROJECT["dependencies"]) == set(core.split())
    assert (
        {"lab", "cluster", "test", "slow", "dev"}
        <= set(EXTRAS)
        <= {"lab", "cluster", "test", "slow", "dev", "docs"}
    )
    assert names(EXTRAS["lab"]) == {
        "jupyterlab",
        "jupytext",
        "voila",
        "captum",
        "lightning",
        "pydantic",
        "tomli-w",
    }
    assert names(EXTRAS["cluster"]) == {"dask", "distributed"}
    assert names(EXTRAS["dev"]) == {"ruff", "pyright", "pre-commit"}
    assert PROJECT["requires-python"] == ">=3.11"
    for requirement in sum(EXTRAS.values(), PROJECT["dependencies"]):
        assert not {"<", "<=", "==", "~="} & {
            s.operator for s in Requirement(requirement).specifier
        }, requirement


LATE = ("distributed", "lightning", "captum", "pydantic", "tomli-w")  # asked for when called


def test_every_import_is_declared():
    """Library: core; commands and tests: an extra, too. Names are those of the distributions."""
    distributions = importlib.metadata.packages_distributions()
    brought_along = {
        "packaging",
        "IPython",
        "PIL",
        "traitlets",
        "nbformat",
        "nbclient",
        "jupytext",
    }  # by what is declared
    for folder, declared in (
        ("melodylab", names(PROJECT["dependencies"]) | set(LATE)),
        ("tests", names(PROJECT["dependencies"] + EXTRAS["test"] + EXTRAS["slow"])),
    ):
        own = {path.stem for path in (ROOT / folder).glob("*.py")} | {"melodylab"}
        for path in (ROOT / folder).rglob("*.py"):
            for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
                modules = [a.name for a in node.names] if isinstance(node, ast.Import) else []
                if isinstance(node, ast.ImportFrom) and node.level == 0:
                    modules = [node.module]
                for module in (
                    {m.split(".")[0] for m in modules}
                    - own
                    - brought_along
                    - sys.stdlib_module_names
                ):
                    candidates = {canonicalize_name(d) for d in distributions.get(module, [module])}
                    assert candidates & declared, f"{path.relative_to(ROOT)} imports {module}"


def test_versions_agree():
    from melodylab import __version__

    release = __version__.split(".dev")[0]
    newest = re.search(r"^## (\S+)", (ROOT / "CHANGELOG.md").read_text(), re.MULTILINE)
    assert newest and newest[1] == release
    assert str(CITATION["version"]) in (__version__, release), "the next one, also before its day"


def test_one_address():
    """CITATION.cff holds the repository's address; every other mention is the same."""
    owner_and_name = re.fullmatch(
        r"https://github\.com/([\w.-]+/[\w.-]+)", CITATION["repository-code"]
    )[1]
    places = (
        r"(?:github\.com|mybinder\.org/v2/gh|colab\.research\.google\.com/github|"
        r"raw\.githubusercontent\.com)"
    )
    mention = re.compile(places + r"/([\w.-]+/melodylab)\b")
    found = {(name, m) for name, text in tracked_texts().items() for m in mention.findall(text)}
    assert {m for _, m in found} == {owner_and_name}, found
    assert {"README.md", "pyproject.toml"} <= {name for name, _ in found}


# --- what is pinned -------------------------------------------------------------------------------


def test_constraints_are_plain_pins():
    pins = constraints()
    for pin in pins:
        assert [s.operator for s in pin.specifier] == ["=="] and not (
            pin.url or pin.extras or pin.marker
        ), pin
        assert "+" not in str(pin) and "*" not in str(pin), (
            "a local version exists on one index only"
        )
    assert len({canonicalize_name(p.name) for p in pins}) == len(pins)
    assert "torch==2.13.0" in map(str, pins)


def test_constraints_cover_whatever_gets_installed():
    """Follow what requirements require through what is installed; extras by their own names."""
    pinned = names(map(str, constraints())) | {"pip"}
    todo = [(Requirement(r), "the project") for r in sum(EXTRAS.values(), PROJECT["dependencies"])]
    seen = set()
    while todo:
        requirement, wanted_by = todo.pop()
        name = canonicalize_name(requirement.name)
        if name.startswith(("nvidia-", "cuda-", "triton")):  # torch pins these itself
            continue
        assert name in pinned, f"{requirement} of {wanted_by}"
        if (name, *requirement.extras) in seen:
            continue
        seen.add((name, *requirement.extras))
        try:
            further = importlib.metadata.requires(requirement.name) or []
        except importlib.metadata.PackageNotFoundError:
            continue
        for line in map(Requirement, further):
            if line.marker is None or any(
                line.marker.evaluate({"extra": e}) for e in ("", *requirement.extras)
            ):
                todo.append((line, name))
    assert len(seen) > 100


def test_pins_satisfy_the_project():
    versions = {canonicalize_name(p.name): next(iter(p.specifier)).version for p in constraints()}
    for requirement in map(Requirement, sum(EXTRAS.values(), PROJECT["dependencies"])):
        assert requirement.specifier.contains(versions[canonicalize_name(requirement.name)]), (
            requirement
        )


# --- what is promised -----------------------------------------------------------------------------

INSTALL = "python3 -m venv .venv && .venv/bin/pip install -c binder/constraints.txt "
LAB = INSTALL + '".[lab]" && .venv/bin/melodylab lab'
TEST = INSTALL + '".[lab,test]" && .venv/bin/pytest'


def test_readme_shows_the_two_commands_and_ci_runs_the_second():
    readme = (ROOT / "README.md").read_text().splitlines()
    assert readme.count(LAB) == readme.count(TEST) == 1
    script = (ROOT / ".ci" / "run").read_text()
    (line,) = [line for line in script.splitlines() if "-m venv" in line]
    assert (
        line.replace('"$venv"', ".venv")
        .replace('"$venv/bin/', ".venv/bin/")
        .replace('pip"', "pip")
        .replace('pytest"', "pytest")
        == TEST
    )
    assert "export MELODYLAB_NO_SKIP=1" in script
    after = script.split(line)[1]  # the slow ones, the linters and other versions come behind it
    assert 'pytest" -m slow' in after and 'ruff" check .' in after and ".ci/versions" in after
    for name in ("run", "versions"):
        assert os.access(ROOT / ".ci" / name, os.X_OK)


def test_the_torch_index_is_named_where_it_may_be():
    index = "download." + "pytorch.org"
    places = {name for name, text in tracked_texts().items() if index in text}
    assert {name.split("/")[0] for name in places} == {"README.md", "binder"}
    assert "binder/constraints.txt" not in places


def test_binder_files():
    folder = ROOT / "binder"
    lines = [
        line.split("#")[0].strip()
        for line in (folder / "requirements.txt").read_text().splitlines()
    ]
    wanted = [line for line in lines if line and not line.startswith("-")]
    assert "-c constraints.txt" in lines and "-r" not in {line[:2] for line in lines}
    build_backend = tomllib.loads((ROOT / "pyproject.toml").read_text())["build-system"]["requires"]
    assert names(wanted) == names(PROJECT["dependencies"] + EXTRAS["lab"] + build_backend)
    assert re.fullmatch(r"python-3\.1[1-3]\n", (folder / "runtime.txt").read_text())
    assert (folder / "apt.txt").read_text().split() == ["ffmpeg", "libsndfile1"]
    script = folder / "postBuild"
    assert os.access(script, os.X_OK) and "set -euo pipefail" in script.read_text()
    for path in (script, ROOT / ".ci" / "run"):
        assert subprocess.run(["bash", "-n", path], capture_output=True).returncode == 0
    warm_up = script.read_text().split("<<'PYTHON'\n")[1].split("PYTHON\n")[0]
    assert "librosa.pyin(" in ast.unparse(ast.parse(warm_up))


def test_badges_and_links_of_the_readme_lead_somewhere():
    readme = (ROOT / "README.md").read_text()
    targets = re.findall(r"\]\(([^)\s]+)\)", readme)
    local = [t.split("#")[0] for t in targets if "://" not in t and not t.startswith("#")]
    in_the_repository = re.findall(r"labpath=([\w/.]+)", readme) + re.findall(
        r"blob/\w+/([\w/.]+)", readme
    )
    assert len(in_the_repository) >= 2
    for target in local + in_the_repository:
        assert (ROOT / target).exists(), target


def test_no_machine_paths():
    roots = ["/" + name + "/" for name in ("work", "home", "root", "Users", "tmp/bash_jobs")] + [
        "C:" + "\\Users"
    ]
    for name, text in tracked_texts().items():
        for root in roots:
            assert not re.search(r"(?<![\w.}~-])" + re.escape(root), text), f"{name} names {root}"


def test_notebooks_name_the_kernel_that_everybody_has():
    notebooks = [
        p for p in (ROOT / "notebooks").rglob("*.ipynb") if ".ipynb_checkpoints" not in p.parts
    ]
    assert ROOT / "notebooks" / "00_tour.ipynb" in notebooks
    for path in notebooks:
        assert (
            json.loads(path.read_text(encoding="utf-8"))["metadata"]["kernelspec"]["name"]
            == "python3"
        ), path


def test_pytest_alone_runs_the_notebooks_first_and_then_the_tests():
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["pytest"]["ini_options"]
    assert settings["testpaths"] == ["notebooks", "tests"] and "--nbval-lax" in settings["addopts"]
    assert "--no-loadscope-reorder" in settings["addopts"]


# --- what is built --------------------------------------------------------------------------------

DATA = (".safetensors", ".json", ".toml")  # trained weights, their cards, recipes


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    """The wheel, built from this checkout without a network."""
    folder = tmp_path_factory.mktemp("wheel")
    command = [
        sys.executable,
        "-m",
        "pip",
        "wheel",
        "--no-deps",
        "--no-index",
        "--no-build-isolation",
        "-w",
        folder,
        ROOT,
    ]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    (path,) = folder.glob("melodylab-*.whl")
    return path


@pytest.fixture(scope="module")
def installed(wheel, tmp_path_factory):
    """A folder with nothing but the wheel's contents."""
    folder = tmp_path_factory.mktemp("installed")
    command = [
        sys.executable,
        "-m",
        "pip",
        "install",
        "--no-deps",
        "--no-index",
        "--target",
        folder,
        wheel,
    ]
    assert subprocess.run(command, capture_output=True).returncode == 0
    return folder


@pytest.mark.slow
def test_the_wheel_holds_library_and_notebooks_and_nothing_else(wheel):
    inside = set(zipfile.ZipFile(wheel).namelist())
    library = {
        p.relative_to(ROOT).as_posix()
        for p in (ROOT / "melodylab").rglob("*")
        if p.suffix in (".py", ".pyi", ".typed", *DATA)
    }
    shipped = {
        f"melodylab/_notebooks/{p.relative_to(ROOT / 'notebooks').as_posix()}"
        for pattern in ("*.ipynb", "solutions/*.ipynb")
        for p in (ROOT / "notebooks").glob(pattern)
    }
    assert library | shipped == {name for name in inside if ".dist-info/" not in name}
    assert "melodylab/_notebooks/00_tour.ipynb" in shipped and any(
        "solutions" in name for name in shipped
    )
    assert any(name.endswith("/licenses/LICENSE") for name in inside)


def run_installed(installed, folder, *arguments):
    environment = {
        **os.environ,
        "PYTHONPATH": str(installed),
        "JUPYTER_DATA_DIR": str(folder / ".jupyter"),
    }
    program = "import sys; from melodylab.cli import main; main(sys.argv[1:])"
    done = subprocess.run(
        [sys.executable, "-c", program, *arguments],
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.slow
def test_the_wheel_works_in_an_empty_folder(installed, tmp_path):
    run_installed(installed, tmp_path, "lab", "--copy-only", "--solutions")
    for part in ("", "solutions/"):
        copied = {p.name for p in (tmp_path / "melodylab-notebooks" / part).glob("*.ipynb")}
        assert copied == {p.name for p in (ROOT / "notebooks" / part).glob("*.ipynb")} != set()
    assert str(installed) in run_installed(installed, tmp_path, "doctor"), (
        "the notebooks are the installed ones"
    )
    sf.write(tmp_path / "a.wav", np.sin(np.arange(22050) * 0.0627), 22050)
    assert run_installed(installed, tmp_path, "melody", "a.wav") == "a.melody.csv\n"
    assert len((tmp_path / "a.melody.csv").read_text().splitlines()) > 40


def test_the_console_script_is_declared():
    assert PROJECT["scripts"] == {"melodylab": "melodylab.cli:main"}
