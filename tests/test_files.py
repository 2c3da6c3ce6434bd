"""A file is complete or absent, whatever goes wrong while it is written."""

import os
import stat

import pytest

from melodylab.errors import InputError
from melodylab.files import complete_or_absent, make_folder


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
