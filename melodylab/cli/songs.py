"""The commands that work on songs: `melodylab melody`, `separate`, `drums`."""

import contextlib
import itertools
from pathlib import Path

import click

from melodylab import files
from melodylab.cli import batch
from melodylab.cli.app import _complain, main
from melodylab.cli.methods import (
    DrumsCommand,
    MethodsCommand,
    SeparationCommand,
    checked,
)
from melodylab.errors import InputError

_audio = click.argument("audio", nargs=-1, required=True)
_force = click.option("--force", is_flag=True, help="Overwrite results that are there already.")
_folder = click.option(
    "--out", metavar="FOLDER", help="Several songs and several methods get a folder each in it."
)


def _method(task, several=True):
    return click.option(
        "--method",
        "wanted",
        metavar="NAME",
        multiple=several,
        help=("One below, or weights of yours; may be given several times. " if several else "")
        + ("For stems also as unet+best, led by a melody." if task == "separation" else ""),
    )


# --- melody ---------------------------------------------------------------------------------------


@main.command(cls=MethodsCommand)
@_audio
@_method("melody")
@click.option(
    "--out",
    metavar="FILE_OR_FOLDER",
    help="For one song and one method a name with an ending is a file, else a folder.",
)
@_force
@click.option(
    "--threshold",
    type=click.FloatRange(0, 1),
    metavar="T",
    help="How sure a frame must be to count as sung, 0..1.  [default: 0.5]",
)
@click.option("--voicing", is_flag=True, help="Write a third column: how sure, 0..1.")
@click.option("--midi", is_flag=True, help="Write the notes as a MIDI file beside each CSV, too.")
@click.option("--bends", is_flag=True, help="MIDI with pitch bends, which keep vibrato and slides.")
@click.option("--tempo", type=click.FloatRange(20, 400), metavar="BPM", help="Tempo of the MIDI.")
@click.option(
    "--salience",
    is_flag=True,
    help="Write what the method heard beside each CSV, too: an NPZ file of values (freq, time), "
    "freqs_hz, times_s, unvoiced.",
)
def melody(audio, wanted, out, force, threshold, voicing, midi, bends, tempo, salience):
    """Find the melody of each AUDIO file, or of all files in a folder, and write it as CSV.

    One row a frame: time_s,f0_hz. Above 0 the pitch is sung, below 0 it is a guess where nothing
    is sung, 0 is no guess. A comment line at the top tells method, version, threshold and song.

    Without --out the files go to the current folder as NAME.melody.csv, and in a folder they are
    called NAME.csv; with several methods NAME.METHOD.melody.csv and NAME.METHOD.csv.

    A method cannot be trusted with pitches outside its range, which stands behind it below.
    """
    from melodylab import api, methods

    found = checked(wanted, "melody")
    if salience and any(methods.find(name, "melody").by == "pyin" for name in found):
        raise InputError("pyin has no salience; leave out --salience or take another method")
    songs = batch.sources(audio)
    names, labels = batch.unique_names(songs), batch.labels(found)
    as_file = out is not None and len(songs) == len(found) == 1 and not batch.is_folder(out)
    ending = Path(out).suffix.lower() if as_file else ""
    midi = midi or bends or tempo is not None or ending in (".mid", ".midi")
    salience = salience or ending == ".npz"

    def targets_of(song, method):
        name = names[song] if len(found) == 1 else f"{names[song]}.{labels[method]}"
        if out is None:
            main_one = Path(f"{name}.melody.csv")
        else:
            main_one = Path(out) if as_file else Path(out) / f"{name}.csv"
        targets = {"csv": main_one}
        if ending in (".mid", ".midi", ".npz"):
            targets["csv"] = main_one.with_suffix(".csv")
        if midi:
            targets["midi"] = main_one.with_suffix(ending if ending == ".midi" else ".mid")
        if salience:
            targets["salience"] = main_one.with_suffix(".npz")
        return targets

    def all_targets(song):
        return [path for method in found for path in targets_of(song, method).values()]

    def work(song):
        whole = api.load_song(song)
        about = {"song": whole.name, "sha256": whole.sha256}
        for method in found:
            heard = api.salience(whole, method) if salience else None
            line = api.extract_melody(whole, method, threshold=threshold, heard=heard)
            _remark_on(song, whole, line.voiced.any(), "nothing sung was found in it")
            targets = targets_of(song, method)
            with contextlib.ExitStack() as together:  # no file gets its name before all are there
                new = {
                    kind: together.enter_context(files.complete_or_absent(path))
                    for kind, path in targets.items()
                }
                header = _header(method, 0.5 if threshold is None else threshold) | about
                line.to_csv(new["csv"], voicing=voicing, header=header)
                if midi:
                    tuned = line.to_midi(new["midi"], bends=bends, tempo_bpm=tempo)
                    if abs(tuned) >= 10:
                        _complain(f"{song} is tuned {tuned:+.0f} cents; {_TUNED}")
                if salience:
                    _write_salience(new["salience"], heard)
            if not midi and targets["csv"].with_suffix(".mid").exists():
                _complain(
                    f"{targets['csv'].with_suffix('.mid')} is of an earlier run and was left as "
                    "it is; --midi --force writes it anew"
                )
            yield from targets.values()

    batch.for_each(songs, all_targets, work, force)


_TUNED = "the notes of its MIDI file are counted from there"


def _header(method, threshold):
    """What a file tells of how it was made."""
    from melodylab import __version__

    return {"method": method, "version": f"melodylab {__version__}", "threshold": threshold}


def _write_salience(path, salience):
    """What a method heard, in numpy's format: values (freq, time), freqs_hz, times_s, unvoiced."""
    import numpy as np

    names = ("values", "freqs_hz", "times_s", "unvoiced")
    held = {name: getattr(salience, name) for name in names}
    np.savez_compressed(path, **{name: array for name, array in held.items() if array is not None})


def _remark_on(path, song, found, otherwise):
    """Say so where a song holds nothing to find."""
    from melodylab.dsp import stretches

    if not any(part.any() for _, part in stretches.stretches(song.audio)):
        _complain(f"{path} is silent from its beginning to its end")
    elif not found:
        _complain(f"{path}: {otherwise}")


# --- separate -------------------------------------------------------------------------------------


@main.command(cls=SeparationCommand)
@_audio
@_method("separation")
@_folder
@_force
def separate(audio, wanted, out, force):
    """Take each AUDIO file, or all files in a folder, apart: melody.wav and accompaniment.wav.

    Together they give the input back. 32-bit float WAV at the input's rate, channels and length.
    Without --out they go to NAME-stems in the current folder; with several methods to a folder of
    the method's name in it.

    A method cannot be trusted with melodies outside its range of pitches, which stands below.
    """
    from melodylab import api
    from melodylab.io import audio as sound

    found = checked(wanted, "separation")
    songs = batch.sources(audio)
    names, labels = batch.unique_names(songs), batch.labels(found)

    def targets_of(song, method):
        folder = _folder_of(out, names[song], "stems", len(songs))
        folder = folder if len(found) == 1 else folder / labels[method]
        return {stem: folder / f"{stem}.wav" for stem in ("melody", "accompaniment")}

    def all_targets(song):
        return [path for method in found for path in targets_of(song, method).values()]

    def work(path):
        for method in found:
            song = api.load_song(path)
            targets, heard = targets_of(path, method), False
            pieces = api.separate_pieces(song, method)  # an hour fits into memory once
            first = next(pieces)  # before a folder is made: here it would fail
            with contextlib.ExitStack() as both:  # no file gets its name before all are written
                put = {
                    stem: both.enter_context(sound.writer(target, song.sr, song.audio.shape))
                    for stem, target in targets.items()
                }
                for piece in itertools.chain([first], pieces):
                    heard |= bool(piece["melody"].any())
                    for stem, part in piece.items():
                        put[stem](part)
            _remark_on(path, song, heard, "no melody was found in it")
            yield from targets.values()

    batch.for_each(songs, all_targets, work, force)


def _folder_of(out, name, kind, n_songs):
    if out is None:
        return Path(f"{name}-{kind}")
    return Path(out) / name if n_songs > 1 else Path(out)


# --- drums ----------------------------------------------------------------------------------------


@main.command(cls=DrumsCommand)
@_audio
@_method("drums", several=False)
@_folder
@_force
@click.option(
    "--threshold",
    type=click.FloatRange(0, 1),
    metavar="T",
    help="How sure the method must be of a hit, 0..1.  [default: by class, as chosen in training]",
)
def drums(audio, wanted, out, force, threshold):
    """Take the drums of each AUDIO file, or of all files in a folder, apart.

    kick.wav, snare.wav, open_hihat.wav, closed_hihat.wav, toms.wav: 32-bit float WAV at the
    input's rate, channels and length; together they give the input back. Beside them the hits:
    onsets.csv (time_s,class,velocity) and drums.mid. Without --out they go to NAME-drums in the
    current folder.
    """
    from melodylab import api
    from melodylab.io import audio as sound

    (method,) = checked([wanted] if wanted else [], "drums")
    songs = batch.sources(audio)
    names = batch.unique_names(songs)

    def targets_of(path):
        folder = _folder_of(out, names[path], "drums", len(songs))
        stems = {name: folder / f"{name}.wav" for name in api.DRUM_CLASSES}
        return stems | {n: folder / n for n in ("onsets.csv", "drums.mid")}

    def work(path):
        song = api.load_song(path)
        parts = api.separate_drums(song, method, threshold=threshold)
        _remark_on(path, song, parts.onsets.classes, "no drum hit was found; all is in toms.wav")
        targets = targets_of(path)
        header = _header(method, "as chosen in training" if threshold is None else threshold)
        header |= {"song": song.name, "sha256": song.sha256}
        with contextlib.ExitStack() as all_of_them:  # no file gets its name before all are written
            new = {
                name: all_of_them.enter_context(files.complete_or_absent(target))
                for name, target in targets.items()
            }
            for name in api.DRUM_CLASSES:
                sound.write(new[name], parts.stems[name], song.sr)
            parts.onsets.to_csv(new["onsets.csv"], header=header)
            parts.onsets.to_midi(new["drums.mid"])
        return targets.values()

    batch.for_each(songs, lambda path: list(targets_of(path).values()), work, force)
