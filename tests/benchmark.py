"""Speed and memory as ratios inside one run: `python tests/benchmark.py`. Nothing here decides a
test.

Speed: 40 iterations of source-filter NMF on 36 s of demo song, against the same updates written
plainly in float64 NumPy, as a reader of the paper would. The two take turns, and the shortest of
three turns counts. The share of the machine's matrix rate is the arithmetic of the matrix products
over what a large float32 product reaches here. CFP: our vectorised one against the published steps
in a loop over the frames, float64; each is best of three. Choices:
`python tests/benchmark.py --leave-one-out FOLDER` scores the songs of a folder, each with the
voicing threshold that suits the others best. Networks: seconds of `extract_melody` for the same
song, features included, as parts of its length; likewise of `separate` and `separate_drums`.
Memory: `python tests/benchmark.py --memory` takes ten minutes of stereo apart in a fresh process
for each method, finds their melody by each network in another, and prints the peaks;
`python tests/benchmark.py --hour` does so with an hour for best and unet.
"""

import argparse
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
from textbook import textbook_updates


def matrix_work(settings, n_frames):
    """Multiplications and additions in the matrix products of one iteration."""
    F, U, R, K, N = (
        settings.n_freqs,
        settings.grid.n_bins,
        settings.n_accompaniment,
        settings.n_filters,
        n_frames,
    )
    return 2 * F * N * (3 * U + 2 * K + 2 * R + 2 * K + 2 * R + 3 * K + 3 * R)


def speed():
    import torch

    from melodylab import api, sfnmf
    from melodylab.dsp import stft

    settings = sfnmf.Settings()
    song = api.demo_song(seed=0, seconds=36.4)
    V = (
        np.abs(
            stft.stft(
                song.mono.astype(float), window=settings.window, hop_samples=settings.hop_samples
            )
        )
        ** 2
    )
    V = np.maximum(V, settings.floor)
    start = sfnmf.random_start(settings, 1, V.shape[1], np.random.default_rng(0))
    W_F0, W_gamma = sfnmf.source_dictionary(settings), sfnmf.smooth_filters(settings)
    seconds = {"textbook": [], "melodylab": []}
    for _ in range(3):
        t = time.perf_counter()
        H_textbook = textbook_updates(V, W_F0, W_gamma, start, settings.iterations)
        seconds["textbook"].append(time.perf_counter() - t)
        t = time.perf_counter()
        H_ours = sfnmf.factorise(V, settings, start=start, W_F0=W_F0).H_F0
        seconds["melodylab"].append(time.perf_counter() - t)
    square = torch.rand(3000, 3000)
    rate = 0
    for _ in range(5):
        t = time.perf_counter()
        square @ square
        rate = max(rate, 2 * 3000**3 / (time.perf_counter() - t))
    textbook, ours = min(seconds["textbook"]), min(seconds["melodylab"])
    used = matrix_work(settings, V.shape[1]) * settings.iterations / ours
    print(
        f"36.4 s of audio, {V.shape[1]} frames, {settings.iterations} iterations, "
        f"{torch.get_num_threads()} threads"
    )
    print(f"textbook float64 NumPy {textbook:6.2f} s   (published code: about 5 s)")
    print(f"melodylab float32      {ours:6.2f} s   {textbook / ours:.2f} times faster")
    print(
        f"largest difference of H_F0 "
        f"{np.abs(H_ours - H_textbook).max() / H_textbook.max():.1e} of its maximum"
    )
    print(f"matrix rate {used / 1e9:.0f} of {rate / 1e9:.0f} GFLOP/s: {used / rate:.0%}")


def textbook_cfp(
    y,
    sr=8000,
    win_samples=768,
    hop_samples=80,
    fmin_hz=31.0,
    fmax_hz=1250.0,
    exponents=(0.24, 0.6, 1.0),
):
    """The steps of the paper frame by frame: (3, 320, frames)."""
    from scipy.signal import get_window

    n_fft = sr // 2
    window = get_window("blackmanharris", win_samples, fftbins=False)
    centres_hz = fmin_hz * 2 ** (np.arange(322) / 60)
    top, longest = round(fmax_hz * n_fft / sr) + 1, round(sr / fmin_hz) + 1
    with np.errstate(divide="ignore"):
        lags_hz = sr / np.arange(longest)
    filters = [
        _triangular(centres_hz, np.arange(top) * sr / n_fft, sr / n_fft),
        _triangular(centres_hz, lags_hz),
    ]
    padded, norm = np.pad(y, win_samples), np.linalg.norm(window)
    shortest, lowest = round(sr / fmax_hz), round(fmin_hz * n_fft / sr)
    pictures = []
    for first in range(win_samples // 2, len(y) + win_samples // 2, hop_samples):
        frame = np.zeros(n_fft)
        frame[:win_samples] = padded[first : first + win_samples] * window / norm
        spectrum = np.abs(np.fft.fft(frame)) ** exponents[0]
        cepstrum = np.maximum(np.real(np.fft.fft(spectrum)) / np.sqrt(n_fft), 0)
        cepstrum[:shortest] = 0
        cepstrum[n_fft - shortest :] = 0
        cepstrum = cepstrum ** exponents[1]
        gcos = np.maximum(np.real(np.fft.fft(cepstrum)) / np.sqrt(n_fft), 0)
        gcos[:lowest] = 0
        gcos = gcos ** exponents[2]
        pictures.append(
            [filters[0] @ spectrum[:top], filters[0] @ gcos[:top], filters[1] @ cepstrum[:longest]]
        )
    made = np.log(1 + np.array(pictures).transpose(1, 2, 0))
    low, high = made.min(axis=(1, 2), keepdims=True), made.max(axis=(1, 2), keepdims=True)
    return (made - low) / (high - low)


def _triangular(centres_hz, axis_hz, step_hz=0):
    """(320, bins): row i between its neighbours, or with a step the one bin that both of them round
    to; row 0 empty.
    """
    filters = np.zeros((len(centres_hz) - 2, len(axis_hz)))
    for i in range(1, len(filters)):
        low, centre, high = centres_hz[i - 1 : i + 2]
        if step_hz and round(low / step_hz) == round(high / step_hz):
            filters[i, round(low / step_hz)] = 1
            continue
        for k in np.flatnonzero((axis_hz > low) & (axis_hz < high)):
            f = axis_hz[k]
            filters[i, k] = (
                (f - low) / (centre - low) if f < centre else (high - f) / (high - centre)
            )
    return filters


def cfp():
    from melodylab import api
    from melodylab.dsp import cfp, stft

    song = api.demo_song(seed=0, seconds=36.4)
    y = stft.resample(song.mono, song.sr, 8000)
    eight = api.Song.from_array(y, 8000)
    seconds = {"textbook": [], "melodylab": []}
    for _ in range(3):
        t = time.perf_counter()
        plain = textbook_cfp(y)
        seconds["textbook"].append(time.perf_counter() - t)
        t = time.perf_counter()
        ours = cfp.cfp(eight).values
        seconds["melodylab"].append(time.perf_counter() - t)
    textbook, quick = min(seconds["textbook"]), min(seconds["melodylab"])
    print(f"CFP of 36.4 s at 8 kHz: {plain.shape[2]} and {ours.shape[2]} frames")
    print(f"loop, float64     {textbook:6.2f} s   (published code: about 2.4 s)")
    print(f"melodylab         {quick:6.2f} s   {textbook / quick:.1f} times faster")
    n = min(plain.shape[2], ours.shape[2])
    print(
        f"largest difference "
        f"{[round(float(d), 6) for d in np.abs(plain[:, :, :n] - ours[:, :, :n]).max(axis=(1, 2))]}"
    )


def blocks():
    """FTANet, published width: a song of many blocks against one call a block, and ten minutes of
    it.
    """
    import torch

    from melodylab import api, models, weights
    from melodylab.models import inputs, run

    torch.manual_seed(0)
    model = models.create_model("ftanet")
    picture = inputs.FRONT_ENDS["cfp"](
        api.demo_song(seed=0, seconds=20.475)
    )  # 2,048 frames, 16 blocks
    parts = [picture.values[None, :, :, first : first + 128] for first in range(0, 2048, 128)]
    seconds = {"whole": [], "single calls": []}
    for _ in range(3):
        t = time.perf_counter()
        run.logits(model, picture)
        seconds["whole"].append(time.perf_counter() - t)
        t = time.perf_counter()
        with torch.inference_mode():
            for part in parts:
                model(torch.from_numpy(part.copy()).contiguous(memory_format=torch.channels_last))
        seconds["single calls"].append(time.perf_counter() - t)
    whole, single = (
        min(seconds["whole"]) / picture.values.shape[2],
        min(seconds["single calls"]) / 2048,
    )
    print(
        f"ftanet, {picture.values.shape[2]} frames: {1000 * whole:.2f} ms a frame, "
        f"{1000 * single:.2f} ms in single calls of 128"
    )
    with tempfile.TemporaryDirectory() as folder:
        card = dict.fromkeys(weights.TOLD, "") | {"front_end": "cfp", "decoding": {}, "scores": {}}
        weights.save(model, card, folder, "untrained")
        _peaks(10, [["melody", "--method", f"{folder}/untrained.safetensors"]])


def _melody_networks():
    """Names of the shipped networks that find melodies."""
    from melodylab import api, weights

    return [name for name in weights.names() if name in api.METHODS]


def _separators():
    """Names of the methods that take a song apart, alias left out."""
    from melodylab import methods

    return [name for name in methods.SEPARATION_METHODS if name != "best"]


def networks():
    """How much faster than real time each shipped network finds a melody."""
    from melodylab import api

    song = api.demo_song(seed=0, seconds=36.4)
    for name in _melody_networks():
        api.extract_melody(song.excerpt(0, 5), name)  # loads the weights
        t = time.perf_counter()
        api.extract_melody(song, name)
        seconds = time.perf_counter() - t
        print(
            f"{name:14s} {seconds:5.2f} s for {song.duration_s:.1f} s of song: "
            f"{song.duration_s / seconds:.1f} times real time"
        )


# On Linux ru_maxrss starts with what the parent held; the peak of this process alone is in /proc.
MEMORY = """
import pathlib, re, resource, sys
from melodylab import cli
sys.argv[0] = "melodylab"
try:
    cli.main()
finally:
    status = pathlib.Path("/proc/self/status")
    own = status.is_file() and re.search(r"VmHWM:\\s+(\\d+)", status.read_text())
    peak = int(own[1]) if own else resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    print("peak", peak // 1024, "MiB")
"""


def separators():
    """How much faster than real time songs and drums are taken apart, on all cores."""
    from melodylab import api, synth

    song, loop = (
        api.demo_song(seed=0, seconds=36.4, sr=44100),
        synth.drum_loop(seed=0, seconds=36.4),
    )
    work = {
        f"separate {name}": lambda name=name: api.separate(song, name) for name in _separators()
    }
    work |= {
        "separate unet+best": lambda: api.separate(song, "unet+best"),
        "drums": lambda: dict(api.separate_drums(loop).stems),
    }
    for name, run in work.items():
        run()  # loads the weights
        t = time.perf_counter()
        run()
        seconds = time.perf_counter() - t
        print(
            f"{name:18s} {seconds:5.2f} s for 36.4 s of song: {36.4 / seconds:.1f} times real time"
        )


def memory():
    separate = [["separate", "--method", name] for name in (*_separators(), "unet+best")]
    melody = [["melody", "--method", name] for name in _melody_networks()]
    _peaks(10, [*separate, ["drums"], *melody])


def hour():
    _peaks(60, [["melody", "--method", "best"], ["separate", "--method", "unet"]])


def _peaks(minutes, commands):
    """Peak memory and time of each command for so many minutes of stereo."""
    from melodylab import api
    from melodylab.io import audio

    song = api.demo_song(seed=0, seconds=20, sr=44100)
    piece = song.audio * np.array([[1.0], [0.7]], np.float32)
    with tempfile.TemporaryDirectory() as folder:
        path, pieces = Path(folder) / "long.wav", 3 * minutes
        with audio.writer(path, song.sr, (2, pieces * piece.shape[1])) as put:
            for _ in range(pieces):
                put(piece)
        for command in commands:
            t = time.perf_counter()
            what = [*command, path, "--out", f"{folder}/out/", "--force"]
            subprocess.run([sys.executable, "-c", MEMORY, *what], check=True)
            length = f"{minutes} min of stereo at {song.sr} Hz"
            print(f"{' '.join(command)}: {length} in {time.perf_counter() - t:.0f} s", flush=True)


def imports():
    """Seconds to import melodylab over seconds to import NumPy, each in fresh processes."""

    def fresh(name):
        code = (
            f"import time; t = time.perf_counter(); import {name}; print(time.perf_counter() - t)"
        )
        return min(
            float(subprocess.run([sys.executable, "-c", code], capture_output=True).stdout)
            for _ in range(5)
        )

    ours, numpy = fresh("melodylab"), fresh("numpy")
    print(
        f"import melodylab {ours * 1e3:.1f} ms, import numpy {numpy * 1e3:.1f} ms: "
        f"{ours / numpy:.2f} times"
    )


def leave_one_out(folder):
    """Scores with the voicing threshold of each song chosen on the other songs of the folder."""
    from melodylab import api, evaluate, sfnmf
    from melodylab.io import folders

    candidates = [-9.0, -8.0, -7.0, -6.0, -5.0, -4.0, -3.0]
    songs = [folders.read_song(path, stems=False) for path in folders.song_folders(folder)]
    scores = [
        [
            evaluate.score_melody(
                estimate=api.extract_melody(song, "sfnmf", hearing=sfnmf.Hearing(voiced_db=db)),
                reference=song.melody,
            )
            for db in candidates
        ]
        for song in songs
    ]
    accuracy = np.array([[score["OA"] for score in row] for row in scores])
    rows = []
    for k, song in enumerate(songs):
        chosen = np.delete(accuracy, k, axis=0).mean(axis=0).argmax()
        rows.append(scores[k][chosen])
        figures = "  ".join(f"{name} {value:.3f}" for name, value in rows[-1].items())
        print(f"{song.name:12s} {candidates[chosen]:5.1f} dB  {figures}")
    print(
        "mean                   "
        + "  ".join(f"{n} {np.mean([row[n] for row in rows]):.3f}" for n in rows[0])
    )
    print(
        "one threshold for all: "
        + "  ".join(
            f"{c:g} dB {a:.3f}" for c, a in zip(candidates, accuracy.mean(axis=0), strict=True)
        )
    )


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--memory",
        action="store_true",
        help="ten minutes of stereo through every method: peak memory",
    )
    parser.add_argument(
        "--hour", action="store_true", help="an hour of stereo through best and unet: peak memory"
    )
    parser.add_argument(
        "--leave-one-out",
        metavar="FOLDER",
        help="choose the voicing threshold of each song on the others",
    )
    arguments = parser.parse_args()
    if arguments.memory:
        memory()
    elif arguments.hour:
        hour()
    elif arguments.leave_one_out:
        leave_one_out(arguments.leave_one_out)
    else:
        speed()
        cfp()
        blocks()
        networks()
        separators()
        imports()
