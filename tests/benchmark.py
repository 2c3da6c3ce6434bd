"""Speed and memory as ratios inside one run: `python tests/benchmark.py`. Nothing here decides a test.

Speed: 40 iterations of source-filter NMF on 36 s of demo song, against the same updates written plainly in float64 NumPy, as a
reader of the paper would. The two take turns, and the shortest of three turns counts. The share of the machine's matrix rate
is the arithmetic of the matrix products over what a large float32 product reaches here.
Choices: `python tests/benchmark.py --leave-one-out FOLDER` scores the songs of a folder, each with the voicing threshold that
suits the others best.
Networks: seconds of `extract_melody` for the same song, features included, as parts of its length.
Memory: `python tests/benchmark.py --memory` separates ten minutes of stereo in a fresh process and finds their melody by each
network in another, and prints the peaks.
"""

import argparse
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np


def textbook_updates(V, W_F0, W_gamma, start, iterations):
    """The five updates of the paper, one line after the other, float64, no block and no shortcut."""
    eps = 1e-20
    H_F0, H_gamma, H_phi, W_B, H_B = (start[name].copy() for name in ("H_F0", "H_gamma", "H_phi", "W_B", "H_B"))
    S_F0, S_phi, S_B = W_F0 @ H_F0, W_gamma @ H_gamma @ H_phi, W_B @ H_B
    for _ in range(iterations):
        V_hat = S_F0 * S_phi + S_B + eps
        H_F0 *= (W_F0.T @ (S_phi * V / V_hat**2)) / (W_F0.T @ (S_phi / V_hat) + eps)
        S_F0 = W_F0 @ H_F0
        V_hat = S_F0 * S_phi + S_B + eps
        W_phi = W_gamma @ H_gamma
        H_phi *= (W_phi.T @ (S_F0 * V / V_hat**2)) / (W_phi.T @ (S_F0 / V_hat) + eps)
        S_phi = W_phi @ H_phi
        V_hat = S_F0 * S_phi + S_B + eps
        H_B *= (W_B.T @ (V / V_hat**2)) / (W_B.T @ (1 / V_hat) + eps)
        S_B = W_B @ H_B
        V_hat = S_F0 * S_phi + S_B + eps
        H_gamma *= (W_gamma.T @ ((S_F0 * V / V_hat**2) @ H_phi.T)) / (W_gamma.T @ ((S_F0 / V_hat) @ H_phi.T) + eps)
        scale = H_gamma.sum(axis=0)
        H_gamma /= scale
        H_phi *= scale[:, None]
        S_phi = W_gamma @ H_gamma @ H_phi
        V_hat = S_F0 * S_phi + S_B + eps
        W_B *= ((V / V_hat**2) @ H_B.T) / ((1 / V_hat) @ H_B.T + eps)
        scale = W_B.sum(axis=0)
        W_B /= scale
        H_B *= scale[:, None]
        S_B = W_B @ H_B
    return H_F0


def matrix_work(settings, n_frames):
    """Multiplications and additions in the matrix products of one iteration."""
    F, U, R, K, N = settings.n_freqs, settings.grid.n_bins, settings.n_accompaniment, settings.n_filters, n_frames
    return 2 * F * N * (3 * U + 2 * K + 2 * R + 2 * K + 2 * R + 3 * K + 3 * R)


def speed():
    import torch

    from melodylab import api, audio, sfnmf

    settings = sfnmf.Settings()
    song = api.demo_song(seed=0, seconds=36.4)
    V = np.abs(audio.stft(song.mono.astype(float), window=settings.window, hop_samples=settings.hop_samples)) ** 2
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
    print(f"36.4 s of audio, {V.shape[1]} frames, {settings.iterations} iterations, {torch.get_num_threads()} threads")
    print(f"textbook float64 NumPy {textbook:6.2f} s   (published code: about 5 s)")
    print(f"melodylab float32      {ours:6.2f} s   {textbook / ours:.2f} times faster")
    print(f"largest difference of H_F0 {np.abs(H_ours - H_textbook).max() / H_textbook.max():.1e} of its maximum")
    print(f"matrix rate {used / 1e9:.0f} of {rate / 1e9:.0f} GFLOP/s: {used / rate:.0%}")


def networks():
    """How much faster than real time each shipped network finds a melody."""
    from melodylab import api, weights

    song = api.demo_song(seed=0, seconds=36.4)
    for name in weights.names():
        api.extract_melody(song.excerpt(0, 5), name)  # loads the weights
        t = time.perf_counter()
        api.extract_melody(song, name)
        seconds = time.perf_counter() - t
        print(f"{name:14s} {seconds:5.2f} s for {song.duration_s:.1f} s of song: {song.duration_s / seconds:.1f} times real time")


MEMORY = """
import resource, sys
from melodylab import cli
sys.argv[0] = "melodylab"
try:
    cli.main()
finally:
    print("peak", resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024, "MiB")
"""


def memory():
    from melodylab import api, audio, weights

    song = api.demo_song(seed=0, seconds=20, sr=44100)
    commands = [["separate"], *(["melody", "--method", name] for name in weights.names())]
    with tempfile.TemporaryDirectory() as folder:
        tiled = np.tile(song.audio, (2, 30)) * np.array([[1.0], [0.7]])
        audio.write(Path(folder) / "ten_minutes.wav", tiled, song.sr)
        for command in commands:
            t = time.perf_counter()
            what = [*command, f"{folder}/ten_minutes.wav", "--out", f"{folder}/out/"]
            subprocess.run([sys.executable, "-c", MEMORY, *what], check=True)
            length = f"{tiled.shape[1] / song.sr / 60:.1f} min of stereo at {song.sr} Hz"
            print(f"{' '.join(command)}: {length} in {time.perf_counter() - t:.0f} s", flush=True)


def imports():
    """Seconds to import melodylab over seconds to import NumPy, each in fresh processes."""

    def fresh(name):
        code = f"import time; t = time.perf_counter(); import {name}; print(time.perf_counter() - t)"
        return min(float(subprocess.run([sys.executable, "-c", code], capture_output=True).stdout) for _ in range(5))

    ours, numpy = fresh("melodylab"), fresh("numpy")
    print(f"import melodylab {ours * 1e3:.1f} ms, import numpy {numpy * 1e3:.1f} ms: {ours / numpy:.2f} times")


def leave_one_out(folder):
    """Scores with the voicing threshold of each song chosen on the other songs of the folder."""
    from melodylab import api, datasets, evaluate, sfnmf

    candidates = [-9.0, -8.0, -7.0, -6.0, -5.0, -4.0, -3.0]
    songs = [datasets.read_song(path, stems=False) for path in datasets.song_folders(folder)]
    scores = [
        [evaluate.score_melody(api.extract_melody(song, hearing=sfnmf.Hearing(voiced_db=db)), song.melody) for db in candidates]
        for song in songs
    ]
    accuracy = np.array([[score["OA"] for score in row] for row in scores])
    rows = []
    for k, song in enumerate(songs):
        chosen = np.delete(accuracy, k, axis=0).mean(axis=0).argmax()
        rows.append(scores[k][chosen])
        figures = "  ".join(f"{name} {value:.3f}" for name, value in rows[-1].items())
        print(f"{song.name:12s} {candidates[chosen]:5.1f} dB  {figures}")
    print("mean                   " + "  ".join(f"{n} {np.mean([row[n] for row in rows]):.3f}" for n in rows[0]))
    print("one threshold for all: " + "  ".join(f"{c:g} dB {a:.3f}" for c, a in zip(candidates, accuracy.mean(axis=0), strict=True)))


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--memory", action="store_true", help="ten minutes of stereo through every method: peak memory")
    parser.add_argument("--leave-one-out", metavar="FOLDER", help="choose the voicing threshold of each song on the others")
    arguments = parser.parse_args()
    if arguments.memory:
        memory()
    elif arguments.leave_one_out:
        leave_one_out(arguments.leave_one_out)
    else:
        speed()
        networks()
        imports()
