"""The code blocks of the README: what is typed and what is printed."""

import contextlib
import io
import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]


def blocks():
    """[(language, text)] of all fenced blocks, in order."""
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    return re.findall(r"^```(\w+)\n(.*?)^```$", text, flags=re.MULTILINE | re.DOTALL)


def steps():
    """[(what is typed, what is printed)] of python blocks with the text behind, and of console."""
    found, all_blocks = [], blocks()
    for (kind, text), (next_kind, next_text) in zip(
        all_blocks, [*all_blocks[1:], ("", "")], strict=True
    ):
        if kind == "python":
            found.append((text, next_text if next_kind == "text" else ""))
        if kind == "console":
            for part in re.split(r"^\$ ", text, flags=re.MULTILINE)[1:]:
                command, _, printed = part.partition("\n")
                found.append(("$ " + command, printed))
    return found


def typed(text, names, folder):
    """What a step prints, standard output and standard error together."""
    if text.startswith("$ "):
        command = [sys.executable, "-m", "melodylab.cli", *shlex.split(text)[2:]]
        if not text.startswith("$ melodylab "):
            command = shlex.split(text)[1:]
        environment = {**os.environ, "PYTHONPATH": str(ROOT)}
        pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT, "text": True}
        done = subprocess.run(command, cwd=folder, env=environment, **pipes)
        return done.stdout
    said, before = io.StringIO(), os.getcwd()
    os.chdir(folder)
    try:
        with contextlib.redirect_stdout(said):
            exec(compile(text, "README.md", "exec"), names)
    finally:
        os.chdir(before)
    return said.getvalue()


def methods_table():
    """The registry as the README shows it."""
    from melodylab import methods

    lines = ["| task | method | what it is | Hz | from |", "|---|---|---|---|---|"]
    for task in methods.TASKS:
        for name, method in methods.of_task(task).items():
            hz = "" if method.range_hz is None else "{:.0f}-{:.0f}".format(*method.range_hz)
            lines.append(f"| {task} | `{name}` | {method.line} | {hz} | {method.source} |")
    return "\n".join(lines)
