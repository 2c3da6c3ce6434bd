"""A file is complete or absent, whatever goes wrong while it is written."""

import os
import stat

import pytest

from melodylab.errors import InputError
from melodylab.files import complete_or_absent, make_folder, refuse_existing


def test_a_new_file_appears_whole_with_its_folders(tmp_path):
    target = tmp_path / "a" / "b" / "out.csv"
    with complete_or_absent(target) as temporary:
        assert (
            temporary.parent == target.parent and temporary.suffix == ".csv" and not target.exists()
        )
        temporary.write_text("all of it")
    assert target.read_text() == "all of it"
    assert os.listdir(target.parent) == ["out.csv"]


@pytest.mark.parametrize("failure", [RuntimeError, KeyboardInterrupt, SystemExit])
@pytest.mark.parametrize("old", [None, "old"])
def test_a_failure_leaves_the_old_file_and_no_other(tmp_path, failure, old):
    target = tmp_path / "out.txt"
    if old:
        target.write_text(old)
    with pytest.raises(failure), complete_or_absent(target) as temporary:
        temporary.write_text("half of")
        raise failure
    assert os.listdir(tmp_path) == (["out.txt"] if old else [])
    if old:
        assert target.read_text() == old


def test_an_old_file_is_replaced(tmp_path):
    (tmp_path / "out.txt").write_text("old, and longer")
    with complete_or_absent(tmp_path / "out.txt") as temporary:
        temporary.write_text("new")
    assert (tmp_path / "out.txt").read_text() == "new"


def test_who_reads_the_old_file_meanwhile_never_sees_half_a_new_one(tmp_path):
    (tmp_path / "out.txt").write_text("old")
    with open(tmp_path / "out.txt") as reader:
        with complete_or_absent(tmp_path / "out.txt") as temporary:
            temporary.write_text("new")
        assert reader.read() == "old"


def test_a_full_disk_is_one_sentence(tmp_path):
    with (
        pytest.raises(
            InputError, match=r"cannot write .*out.txt \(no space left on device\); "
        ) as refusal,
        complete_or_absent(tmp_path / "out.txt"),
    ):
        raise OSError(28, "No space left on device")
    assert "\n" not in str(refusal.value) and os.listdir(tmp_path) == []


def test_a_folder_in_the_way_and_a_file_in_the_way_are_named(tmp_path):
    (tmp_path / "folder").mkdir()
    with (
        pytest.raises(InputError, match="folder: it is a folder; give a file name"),
        complete_or_absent(tmp_path / "folder"),
    ):
        pass
    (tmp_path / "file").touch()
    for path in (tmp_path / "file" / "out.txt", tmp_path / "file" / "deeper" / "out.txt"):
        with pytest.raises(InputError, match="cannot create the folder"), complete_or_absent(path):
            pass


@pytest.mark.skipif(os.name == "nt", reason="Windows has no such permissions")
def test_a_result_is_as_readable_as_any_other_file(tmp_path):
    (tmp_path / "plain").touch()
    with complete_or_absent(tmp_path / "ours") as temporary:
        temporary.touch()
    assert stat.S_IMODE((tmp_path / "ours").stat().st_mode) == stat.S_IMODE(
        (tmp_path / "plain").stat().st_mode
    )


def test_make_folder_makes_parents_and_accepts_what_is_there(tmp_path):
    assert make_folder(tmp_path / "a" / "b") == tmp_path / "a" / "b"
    assert make_folder(str(tmp_path / "a" / "b")).is_dir()


def test_input_errors_are_value_errors():
    assert issubclass(InputError, ValueError)


@pytest.mark.skipif(os.name == "nt", reason="Windows has no such permissions")
def test_a_private_file_stays_private(tmp_path):
    (tmp_path / "mine").touch(mode=0o600)
    with complete_or_absent(tmp_path / "mine") as temporary:
        temporary.write_text("new")
    assert stat.S_IMODE((tmp_path / "mine").stat().st_mode) == 0o600
    assert (tmp_path / "mine").read_text() == "new"


@pytest.mark.skipif(os.name == "nt", reason="Windows has no umask")
def test_nobodys_umask_is_touched(tmp_path, monkeypatch):
    monkeypatch.setattr(os, "umask", None)  # another thread's files would get the wrong rights
    with complete_or_absent(tmp_path / "ours") as temporary:
        temporary.write_text("new")
    assert (tmp_path / "ours").read_text() == "new"


@pytest.mark.skipif(os.name == "nt", reason="links ask for rights on Windows")
@pytest.mark.parametrize("there", [True, False])
def test_a_link_stays_a_link(tmp_path, there):
    (tmp_path / "far").mkdir()
    if there:
        (tmp_path / "far" / "real.txt").write_text("old")
    (tmp_path / "link.txt").symlink_to(tmp_path / "far" / "real.txt")
    with complete_or_absent(tmp_path / "link.txt") as temporary:
        temporary.write_text("new")
    assert (tmp_path / "link.txt").is_symlink()
    assert (tmp_path / "far" / "real.txt").read_text() == "new"
    assert os.listdir(tmp_path / "far") == ["real.txt"]


def test_a_file_lies_on_the_disk_before_it_gets_its_name(tmp_path, monkeypatch):
    done = []
    real = {"fsync": os.fsync, "replace": os.replace}
    for name, call in real.items():

        def told(*given, name=name, call=call):
            done.append(name)
            return call(*given)

        monkeypatch.setattr(os, name, told)
    with complete_or_absent(tmp_path / "out.txt") as temporary:
        temporary.write_text("new")
    assert done == ["fsync", "replace"] + ["fsync"] * (os.name != "nt")


def test_what_is_there_is_refused_before_the_work(tmp_path):
    new, old, older = (tmp_path / name for name in ("new.csv", "old.csv", "older.csv"))
    old.write_text("mine")
    older.write_text("mine too")
    refuse_existing([new])
    with pytest.raises(InputError, match=r"old.csv is there already; .*--force"):
        refuse_existing([new, str(old)])
    with pytest.raises(InputError, match=r"old.csv \(and 1 more\) is there already"):
        refuse_existing([old, new, older])
    refuse_existing([old, older], force=True)
    with pytest.raises(InputError, match="it is a folder"):
        refuse_existing([tmp_path], force=True)
    assert old.read_text() == "mine"


def test_a_name_that_no_disk_takes_is_refused_with_a_way_out(tmp_path):
    long = tmp_path / ("a" * 252 + ".csv")
    words = "too long .*; give a shorter one with --out"
    with pytest.raises(InputError, match=words):
        refuse_existing([long], force=True)
    with pytest.raises(InputError, match=words), complete_or_absent(long):
        pass
    assert os.listdir(tmp_path) == []
