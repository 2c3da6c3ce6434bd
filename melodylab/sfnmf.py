"""Source-filter NMF: a song as a sung source, seen through a smooth filter, over an accompaniment.

    V_hat = (W_F0 H_F0) * (W_gamma H_gamma H_phi) + W_B H_B          V = |STFT|^2, * element by element
             source        filter                   accompaniment

W_F0 holds one harmonic comb per pitch and W_gamma overlapping smooth bands; both are built, never learned. The other five
matrices are estimated from one song by multiplicative updates that lower the Itakura-Saito divergence. Row k of H_F0 says when
pitch k sounds: that is the salience, and notebook 02_source_filter_nmf walks through it.

Shapes, as letters: B songs, C channels, F frequencies, N frames, U pitches, P bands, K filters, R accompaniment parts.
Power spectra are (B, C, F, N). A channel c hears the lead with gain alpha_c and part r with beta_cr (one channel: both 1).
Sources: Durrieu, Richard, David and Fevotte 2010; Durrieu, David and Richard 2011; parameters of Basaran, Essid and Peeters 2018.
"""

import contextlib
import functools
import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace

import numpy as np
import torch
from scipy.ndimage import gaussian_filter1d
from scipy.special import expit

from melodylab import audio, grids
from melodylab.records import Salience

_GUARD = 1e-20  # keeps 0 / 0 at 0: a comb that is switched off stays off
_FRAMES_AT_ONCE = 800  # at most, in a block that one core works on: few enough for its cache, many enough to pay for the call


@dataclass(frozen=True)
class Settings:
    """The published system's parameters (Basaran 2018, code of the release), all changeable.

    exponent: power of the multiplicative step; 1 is the usual heuristic, 1/2 provably never raises the cost.
    """

    sr: int = 22050
    window_samples: int = 1024  # 46 ms
    hop_samples: int = 256  # 11.6 ms
    fmin_hz: float = 55.0
    fmax_hz: float = 1760.0
    bins_per_semitone: int = 5
    open_quotient: float = 0.25
    n_bands: int = 30  # P, smooth elementary filters
    band_overlap: float = 0.75
    n_filters: int = 10  # K, vowels and timbres built from the bands
    n_accompaniment: int = 40  # R
    iterations: int = 40
    exponent: float = 1.0
    floor: float = 1e-9  # of the power spectrum

    @property
    def n_freqs(self):
        return self.window_samples // 2 + 1

    @property
    def freqs_hz(self):
        """Frequencies of the STFT rows, (F,)."""
        return np.arange(self.n_freqs) * self.sr / self.window_samples

    @property
    def grid(self):
        """The pitch axis: 301 bins of 20 cents from 55 to 1760 Hz by default."""
        return grids.PitchGrid.spanning(self.fmin_hz, self.fmax_hz, 12 * self.bins_per_semitone)

    @property
    def window(self):
        return audio.sine_window(self.window_samples)


PUBLISHED = Settings()


# --- the two fixed dictionaries -----------------------------------------------------------------------------------------


def partial_amplitudes(f0_hz, n_partials, open_quotient=0.25):
    """Complex amplitudes of a glottal pulse's partials h = 1..n_partials, (n_partials,), by the KLGLOTT88 model.

    s = 2 pi i h Oq;  a_h = f0 27/4 / s (exp(-s) + 2 (1 + 2 exp(-s)) / s - 6 (1 - exp(-s)) / s^2).
    Relative levels do not depend on f0, and the third partial is the strongest (trap T7). Source: Durrieu 2011, after Klatt 1990.
    """
    s = 2j * np.pi * np.arange(1, n_partials + 1) * open_quotient
    decay = np.exp(-s)
    return f0_hz * 27 / 4 / s * (decay + 2 * (1 + 2 * decay) / s - 6 * (1 - decay) / s**2)


@functools.lru_cache(maxsize=4)  # 0.4 s, as much as two seconds of sound take
def source_dictionary(settings=PUBLISHED):
    """W_F0: one column per pitch, the power spectrum of a windowed glottal pulse train, maximum 1. Shape (F, U), float64.

    A partial at or above the Nyquist frequency is left out. Computed once per settings, so the array is read-only.
    """
    t_s = np.arange(settings.window_samples) / settings.sr
    combs = []
    for f0_hz in settings.grid.freqs_hz:
        partials = np.arange(1, int(settings.sr / 2 / f0_hz) + 1)
        amplitudes = partial_amplitudes(f0_hz, len(partials), settings.open_quotient)
        pulses = (amplitudes @ np.exp(2j * np.pi * f0_hz * np.outer(partials, t_s))).real
        combs.append(np.abs(np.fft.rfft(settings.window * pulses)) ** 2)
    combs = np.stack(combs, axis=1)
    combs /= combs.max(axis=0)
    combs.flags.writeable = False
    return combs


def smooth_filters(settings=PUBLISHED):
    """W_gamma: overlapping Hann bands on a linear frequency axis whose sum is flat. Shape (F, P), float64."""
    step_share = 1 / np.ceil(1 / (1 - settings.band_overlap))
    length = np.ceil(settings.n_freqs / (step_share * (settings.n_bands - 1) + 2 * step_share - 1))
    length = int(length + length % 2)
    first = -int(round((1 - step_share) / step_share))  # so many bands begin below 0 Hz
    centres = np.round((first + np.arange(settings.n_bands)) * step_share * length + length / 2).astype(int)
    bands = np.zeros((settings.n_freqs, settings.n_bands))
    hann = np.hanning(length)
    for band, centre in zip(bands.T, centres, strict=True):
        rows = np.arange(length) + centre - length // 2
        inside = (rows >= 0) & (rows < settings.n_freqs)
        band[rows[inside]] = hann[inside]
    return bands


# --- the model ----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, eq=False)
class Factors:
    """One song's factorisation, NumPy arrays. Methods give the model's spectrograms, (F, N).

    W_F0 (F, U), H_F0 (U, N), W_gamma (F, P), H_gamma (P, K), H_phi (K, N), W_B (F, R), H_B (R, N), alpha (C,), beta (C, R),
    cost (iterations + 1,): Itakura-Saito divergence before each iteration and after the last, summed over all cells.
    """

    W_F0: np.ndarray
    H_F0: np.ndarray
    W_gamma: np.ndarray
    H_gamma: np.ndarray
    H_phi: np.ndarray
    W_B: np.ndarray
    H_B: np.ndarray
    alpha: np.ndarray
    beta: np.ndarray
    cost: np.ndarray
    settings: Settings = field(repr=False, default=PUBLISHED)

    def source(self):
        """S_F0 = W_F0 H_F0: harmonic combs, as loud as each pitch is active."""
        return self.W_F0 @ self.H_F0

    def filter(self):
        """S_phi = W_gamma H_gamma H_phi: the smooth colouring of the source."""
        return self.W_gamma @ self.H_gamma @ self.H_phi

    def lead(self, channel=0):
        """Power spectrum of the sung part: source times filter."""
        return self.alpha[channel] ** 2 * self.source() * self.filter()

    def accompaniment(self, channel=0):
        """Power spectrum of the rest, S_B = W_B H_B."""
        return (self.W_B * self.beta[channel] ** 2) @ self.H_B

    def model(self, channel=0):
        """V_hat, the sum of lead and accompaniment."""
        return self.lead(channel) + self.accompaniment(channel)

    def pitch_power(self):
        """Power that each pitch contributes after the filter, (U, N).

        H_F0 alone has an arbitrary scale from frame to frame, shared with H_phi (trap T6); this product has not.
        """
        return self.H_F0 * (self.W_F0.T @ self.filter())


def random_start(settings, n_channels, n_frames, rng, n_pitches=None):
    """The published start, |standard normal noise| in all five matrices; equal channel gains. dict of float64 arrays."""
    shapes = {
        "H_F0": (n_pitches or settings.grid.n_bins, n_frames),
        "H_gamma": (settings.n_bands, settings.n_filters),
        "H_phi": (settings.n_filters, n_frames),
        "W_B": (settings.n_freqs, settings.n_accompaniment),
        "H_B": (settings.n_accompaniment, n_frames),
    }
    start = {name: np.abs(rng.standard_normal(shape)) for name, shape in shapes.items()}
    start["H_gamma"] /= start["H_gamma"].sum(axis=0)
    start["alpha"] = np.full(n_channels, 1 / n_channels)
    # the first parts of the accompaniment lean to different channels, so that equal gains are no fixed point
    beta = rng.uniform(0.1, 1, (n_channels, settings.n_accompaniment))
    start["beta"] = beta / beta.sum(axis=0)
    return start


def factorise(power, settings=PUBLISHED, *, start=None, seed=0, W_F0=None, fixed=(), dtype=None, keep=None):
    """Estimate the model of one song from its power spectrum (F, N) or (C, F, N); see `factorise_batch` for the options.

    Returns Factors. Silence gives activations near zero and no NaN. Raises ValueError on a wrong number of frequencies.
    """
    power = np.asarray(power)
    power = power[None] if power.ndim == 2 else power
    return factorise_batch(
        power[None], settings, starts=start and [start], seed=seed, W_F0=W_F0, fixed=fixed, dtype=dtype, keep=keep
    )[0]


def factorise_batch(
    power, settings=PUBLISHED, *, starts=None, seed=0, W_F0=None, fixed=(), dtype=None, keep=None, device="cpu"
):
    """Estimate the models of several songs, or blocks of one song, at once: list of Factors.

    power: (B, C, F, N) >= 0. starts: one dict a song as from `random_start`; without it song b draws from (seed, b).
    W_F0: another source dictionary, (F, U). fixed: which of H_F0, H_gamma and W_B to leave as they start; H_phi and H_B take
    every scale, so they always move.
    dtype: torch dtype, float32 unless given. keep(iteration, list of Factors) is called with a copy after every iteration.
    Source: Durrieu 2011; order and normalisations as in the code of Basaran 2018.
    """
    power = np.asarray(power)
    if power.ndim != 4 or power.shape[2] != settings.n_freqs:
        raise ValueError(f"power must be (songs, channels, {settings.n_freqs}, frames), got {power.shape}")
    if not {"H_F0", "H_gamma", "W_B"}.issuperset(fixed):
        raise ValueError(f"only H_F0, H_gamma and W_B can be fixed, got {', '.join(sorted(fixed))}")
    if W_F0 is None:
        W_F0 = source_dictionary(settings)
    if starts is None:
        starts = [
            random_start(settings, power.shape[1], power.shape[3], np.random.default_rng([seed, b]), W_F0.shape[1])
            for b in range(len(power))
        ]
    with _workers() as for_each:
        model = _Model(power, settings, starts, W_F0, fixed, dtype or torch.float32, device, for_each)
        for iteration in range(settings.iterations):
            model.iterate()
            if keep is not None:
                keep(iteration + 1, model.factors())
        return model.factors()


@contextlib.contextmanager
def _workers():
    """A map over blocks of frames on one thread a core, each of which computes alone.

    torch would rather split every small operation over the cores; on a machine that others use too, those thousands of
    meetings an iteration cost twenty times the work.
    """
    n_threads = torch.get_num_threads()
    everyone_started = threading.Barrier(n_threads)

    def start():
        torch.set_num_threads(1)  # holds for the calling thread, but new threads take it as their default...
        everyone_started.wait()

    with ThreadPoolExecutor(n_threads) as pool:
        for started in [pool.submit(start) for _ in range(n_threads)]:
            started.result()
        torch.set_num_threads(n_threads)  # ... so it is put back
        yield lambda function, blocks: list(pool.map(function, blocks))


class _Model:
    """The matrices while they are being estimated, as torch tensors with the songs of a batch in front."""

    def __init__(self, power, settings, starts, W_F0, fixed, dtype, device, for_each):
        def tensor(array):
            return torch.tensor(np.asarray(array), dtype=dtype, device=device)

        def stacked(name):
            return tensor(np.stack([start[name] for start in starts]))

        self.settings, self.fixed = settings, frozenset(fixed)
        self.V = tensor(power).clamp_(min=settings.floor)  # (B, C, F, N)
        self.W_F0, self.W_gamma = tensor(W_F0), tensor(smooth_filters(settings))  # (F, U) and (F, P)
        self.H_F0, self.H_gamma, self.H_phi = stacked("H_F0"), stacked("H_gamma"), stacked("H_phi")
        self.W_B, self.H_B = stacked("W_B"), stacked("H_B")
        self.alpha, self.beta = stacked("alpha"), stacked("beta")  # (B, C) and (B, C, R)
        self.S_F0 = self.W_F0 @ self.H_F0  # (B, F, N)
        self.costs = []
        n_frames = self.V.shape[-1]
        n_blocks = 2 * -(-n_frames // (2 * _FRAMES_AT_ONCE))  # even, and of equal size, so that two cores end together
        edges = [n_frames * k // n_blocks for k in range(n_blocks + 1)]
        self.blocks = [slice(first, stop) for first, stop in zip(edges, edges[1:], strict=False) if first < stop]
        self.for_each = for_each

    def iterate(self):
        """One round of the five updates (and of the channel gains where there are several channels)."""
        if self.V.shape[1] > 1:
            self.update_gains()
        self.update_activations()
        if "H_gamma" not in self.fixed:
            self.update_H_gamma()
        if "W_B" not in self.fixed:
            self.update_W_B()

    # Every update is a ratio of two correlations, of a dictionary with A = V / V_hat^2 and with D = 1 / V_hat.
    def ratios(self, frames, S_F0, S_phi, S_B):
        """A and D of a block of frames, each (B, C, F, n), from the lead (B, F, n) and the accompaniment (B, C, F, n)."""
        D = self.lead_of_channels(S_F0 * S_phi).add_(S_B).clamp_(min=_GUARD).reciprocal_()
        return (self.V[..., frames] * D).mul_(D), D

    def ratios_now(self, frames, W_phi, W_B):
        """A and D of a block under the matrices as they are."""
        return self.ratios(frames, self.S_F0[..., frames], W_phi @ self.H_phi[..., frames], W_B @ self.H_B[:, None, :, frames])

    def lead_of_channels(self, lead):
        return lead[:, None] if self.V.shape[1] == 1 else self.alpha[:, :, None, None] ** 2 * lead[:, None]

    def heard_by_lead(self, A):
        """Sum over channels, weighted as the channels hear the lead: (B, C, F, n) -> (B, F, n)."""
        return A[:, 0] if self.V.shape[1] == 1 else (self.alpha[:, :, None, None] ** 2 * A).sum(1)

    def W_phi(self):
        return self.W_gamma @ self.H_gamma  # (B, F, K)

    def W_B_of_channels(self):
        return self.W_B[:, None] * self.beta[:, :, None, :] ** 2  # (B, C, F, R)

    def step(self, numerator, denominator):
        return (numerator / denominator.clamp(min=_GUARD)) ** self.settings.exponent

    def correlate(self, dictionary, weight, A, D):
        """dictionary^T (weight * A) over dictionary^T (weight * D): the ratio of an update, (B, rows, n)."""
        return self.step(*(dictionary.transpose(-1, -2) @ (weight * self.heard_by_lead(x)) for x in (A, D)))

    def update_activations(self):
        """H_F0, H_phi and H_B in this order. A column needs no other column, so a block of frames goes through all three."""
        W_phi, W_B = self.W_phi(), self.W_B_of_channels()

        def update(n):
            S_F0, S_phi, S_B = self.S_F0[..., n], W_phi @ self.H_phi[..., n], W_B @ self.H_B[:, None, :, n]
            A, D = self.ratios(n, S_F0, S_phi, S_B)
            cost = self.cost_of(n, D)
            if "H_F0" not in self.fixed:
                self.H_F0[..., n] *= self.correlate(self.W_F0, S_phi, A, D)
                S_F0 = self.S_F0[..., n] = self.W_F0 @ self.H_F0[..., n]
                A, D = self.ratios(n, S_F0, S_phi, S_B)
            self.H_phi[..., n] *= self.correlate(W_phi, S_F0, A, D)
            A, D = self.ratios(n, S_F0, W_phi @ self.H_phi[..., n], S_B)
            self.H_B[..., n] *= self.step(*((W_B.transpose(-1, -2) @ x).sum(1) for x in (A, D)))
            return cost

        self.costs.append(sum(self.for_each(update, self.blocks)))

    def cost_of(self, frames, D):
        """Itakura-Saito divergence of a block, sum V / V_hat - log(V / V_hat) - 1, per song."""
        ratio = self.V[..., frames] * D
        cells = ratio[0].numel()
        return (ratio.sum(dim=(1, 2, 3)).double() - ratio.log_().sum(dim=(1, 2, 3)).double() - cells).cpu()

    def update_H_gamma(self):
        """H_gamma sees all frames; its columns then sum to 1 and H_phi takes the scale."""
        W_phi, W_B = self.W_phi(), self.W_B_of_channels()

        def gather(n):  # numerator and denominator, (2, B, F, K)
            S_F0, H_phi = self.S_F0[..., n], self.H_phi[..., n].transpose(-1, -2)
            return torch.stack([(S_F0 * self.heard_by_lead(x)) @ H_phi for x in self.ratios_now(n, W_phi, W_B)])

        self.H_gamma *= self.step(*(self.W_gamma.T @ sum(self.for_each(gather, self.blocks))))
        scale = self.H_gamma.sum(dim=1, keepdim=True)  # (B, 1, K)
        self.H_gamma /= scale.clamp(min=_GUARD)
        self.H_phi *= scale.transpose(1, 2)

    def update_W_B(self):
        """W_B sees all frames; its columns then sum to 1 and H_B takes the scale."""
        W_phi, W_B = self.W_phi(), self.W_B_of_channels()

        def gather(n):  # numerator and denominator, (2, B, C, F, R)
            H_B = self.H_B[:, None, :, n].transpose(-1, -2)
            return torch.stack([x @ H_B for x in self.ratios_now(n, W_phi, W_B)])

        both = sum(self.for_each(gather, self.blocks))
        self.W_B *= self.step(*(self.beta[:, :, None, :] ** 2 * both).sum(2))
        scale = self.W_B.sum(dim=1, keepdim=True)  # (B, 1, R)
        self.W_B /= scale.clamp(min=_GUARD)
        self.H_B *= scale.transpose(1, 2)

    def update_gains(self):
        """How loud each channel hears the lead and each part, with a tenth of the exponent; sums over channels stay 1.

        Source: the stereo model of Durrieu's separation code, here for any number of channels.
        """
        W_phi, W_B = self.W_phi(), self.W_B_of_channels()

        def gather(n):  # numerators and denominators of alpha, (2, B, C), and beta, (2, B, C, R)
            both = self.ratios_now(n, W_phi, W_B)
            lead = (self.S_F0[..., n] * (W_phi @ self.H_phi[..., n]))[:, None]
            W_B_T, H_B = self.W_B.transpose(-1, -2)[:, None], self.H_B[:, None, :, n]
            return (
                torch.stack([(lead * x).sum(dim=(-1, -2)) for x in both]),
                torch.stack([((W_B_T @ x) * H_B).sum(dim=-1) for x in both]),
            )

        gathered = self.for_each(gather, self.blocks)
        for gains, sums in zip((self.alpha, self.beta), map(sum, zip(*gathered, strict=True)), strict=True):
            gains *= self.step(*sums) ** 0.1
            gains /= gains.sum(dim=1, keepdim=True).clamp(min=_GUARD)

    def final_cost(self):
        W_phi, W_B = self.W_phi(), self.W_B_of_channels()
        return sum(self.cost_of(n, self.ratios_now(n, W_phi, W_B)[1]) for n in self.blocks)

    def factors(self):
        cost = torch.stack([*self.costs, self.final_cost()])
        names = ("H_F0", "H_gamma", "H_phi", "W_B", "H_B", "alpha", "beta")
        shared = {name: getattr(self, name).cpu().numpy() for name in ("W_F0", "W_gamma")}
        return [
            Factors(
                **{name: getattr(self, name)[b].cpu().numpy().copy() for name in names},
                **shared,
                cost=cost[:, b].numpy(),
                settings=self.settings,
            )
            for b in range(len(self.V))
        ]


# --- a whole song: blocks, salience, stems ------------------------------------------------------------------------------

_BLOCK_S, _STEP_S = 30.0, 25.0


def block_frames(n_frames, settings=PUBLISHED):
    """Blocks of a song on an absolute grid: list of (first, stop) frames, 30 s long and 25 s apart.

    A tail shorter than half a step joins the last block, so that no block is too short to tell lead from backing.
    """
    length, step = (round(s * settings.sr / settings.hop_samples) for s in (_BLOCK_S, _STEP_S))
    blocks, first = [], 0
    while n_frames - (first + length) > step // 2:
        blocks.append((first, first + length))
        first += step
    return [*blocks, (first, n_frames)]


def block_weights(blocks):
    """Fades that sum to 1 where blocks overlap: one array a block, over its own frames."""
    weights = []
    for b, (first, stop) in enumerate(blocks):
        weight = np.ones(stop - first, dtype=np.float32)
        if b > 0:
            overlap = blocks[b - 1][1] - first
            weight[:overlap] = (np.arange(overlap) + 0.5) / overlap
        if b + 1 < len(blocks):
            overlap = stop - blocks[b + 1][0]
            weight[-overlap:] = (np.arange(overlap)[::-1] + 0.5) / overlap
        weights.append(weight)
    return weights


@dataclass(frozen=True)
class Hearing:
    """How activations become a salience: choices of ours, made on the development songs (the paper takes H_F0 as it is).

    Pitches far from the usual range of a melody count less; a frame is voiced when its lead is loud for this song.
    """

    centre_midi: float = 64.0  # E4
    spread_semitones: float = 18.0
    voiced_db: float = -6.0  # a frame this far below the loud quarter of the song is as likely sung as not
    db_per_nat: float = 3.0  # how fast that likelihood changes
    quiet_db: float = -20.0  # a lead never closer to the mix than this is no lead


def salience(song, settings=PUBLISHED, *, hearing=Hearing(), seed=0):
    """Salience of a song, (U, N) in 0..1, with `unvoiced` in 0..1; frame maximum plus unvoiced is 1.

    A pitch counts by the geometric mean of two shares of its frame: of the activations H_F0, which resolve pitch well but have
    no level, and of the power after the filter, which is what we hear. Silent frames are all unvoiced.
    """
    y = working_signal(song.mono, song.sr, settings)
    grid, n_frames = settings.grid, audio.n_frames(len(y), settings.hop_samples)
    evidence = np.zeros((grid.n_bins, n_frames), dtype=np.float32)
    lead_power, mix_power = np.zeros(n_frames), np.zeros(n_frames)
    distance = (grids.hz_to_midi(grid.freqs_hz) - hearing.centre_midi) / hearing.spread_semitones
    prior = np.exp(-0.5 * distance[:, None] ** 2)
    for first, stop, weight, power, factors in analyse(y, settings, seed=seed):
        pitches, lead = factors.pitch_power(), factors.lead()
        heard = ((lead / factors.model()) ** 2 * power).sum(axis=0)  # the lead as Wiener filtering would play it
        likely = prior * _pitch_evidence(factors.H_F0, pitches)
        evidence[:, first:stop] += weight * likely
        lead_power[first:stop] += weight * _melody_power(heard, pitches, likely.argmax(axis=0), settings)
        mix_power[first:stop] = power.sum(axis=0)
    peak = evidence.max(axis=0)
    voiced = _voiced_share(lead_power, mix_power, hearing)
    voiced[(mix_power <= 2 * settings.n_freqs * settings.floor) | (peak <= 0)] = 0
    return Salience(
        evidence / np.maximum(peak, _GUARD) * voiced,
        grid.freqs_hz,
        grids.frame_times_s(n_frames, settings.hop_samples, settings.sr),
        unvoiced=1 - voiced,
        made_by="sfnmf",
    )


def analyse(y, settings=PUBLISHED, *, seed=0):
    """Factorise a mono signal at the working rate block by block; one block is in memory at a time.

    Yields (first, stop, weight (frames,), power (F, frames), Factors); weights sum to 1 over the blocks that share a frame.
    """
    blocks = block_frames(audio.n_frames(len(y), settings.hop_samples), settings)
    W_F0 = source_dictionary(settings)
    for b, ((first, stop), weight) in enumerate(zip(blocks, block_weights(blocks), strict=True)):
        spectra = audio.stft(
            y, window=settings.window, hop_samples=settings.hop_samples, first_frame=first, frames=stop - first
        )
        power = np.maximum(np.abs(spectra) ** 2, settings.floor)
        yield first, stop, weight, power, factorise(power, settings, seed=seed + 1000 * b, W_F0=W_F0)


def _pitch_evidence(H_F0, pitches):
    """Geometric mean of the two shares, blurred by a bin and less than a frame so that neighbours agree. (U, N)"""
    shares = (gaussian_filter1d(x / np.maximum(x.sum(axis=0), _GUARD), 1, axis=0) for x in (H_F0, pitches))
    return gaussian_filter1d(np.sqrt(np.prod(list(shares), axis=0)), 0.7, axis=1)


def _melody_power(heard, pitches, best, settings):
    """How loud one line is in each frame, (N,): geometric mean of the lead as heard and of the power within a semitone of the
    best pitch, the latter once more times its share of all pitches, since chords spread theirs."""
    near = np.abs(np.arange(len(pitches))[:, None] - best) <= settings.bins_per_semitone
    power = (pitches * near).sum(axis=0)
    return np.sqrt(heard * power**2 / np.maximum(pitches.sum(axis=0), _GUARD))


def _voiced_share(lead_power, mix_power, hearing):
    """Likelihood in 0..1 that a frame is sung: its level in dB against the level of the song's loud quarter."""

    def level_db(power):
        return gaussian_filter1d(10 * np.log10(power + 1e-12), 3)

    lead_db = level_db(lead_power)
    loud_db = max(np.percentile(lead_db, 75), np.percentile(level_db(mix_power), 75) + hearing.quiet_db)
    return expit((lead_db - loud_db - hearing.voiced_db) / hearing.db_per_nat).astype(np.float32)


# for the second pass, whose melody is known: fewer filters and parts leave the lead less to hide in (development songs)
LED = Settings(n_filters=5, n_accompaniment=20, iterations=25)


def near_melody(melody, grid, width_bins):
    """Where H_F0 may be active: (U, N) bool, true within width_bins of a voiced frame's pitch."""
    path = grid.nearest_bin(melody.sung_hz)
    return (np.abs(np.arange(grid.n_bins)[:, None] - path) <= width_bins) & (path >= 0)


def lead_share(power, near, settings, unvoiced, seed):
    """The lead's share of each cell of a block, (C, F, N) in 0..1."""
    start = random_start(settings, power.shape[0], power.shape[2], np.random.default_rng(seed))
    start["H_F0"] *= near
    factors = factorise(power, settings, start=start)
    if unvoiced:
        white = np.where(near.any(axis=0), 0.01 * factors.H_F0.max(), 0)
        names = ("H_gamma", "H_phi", "W_B", "H_B", "alpha", "beta")
        start = {name: getattr(factors, name) for name in names} | {"H_F0": np.vstack([factors.H_F0, white])}
        W_F0 = np.hstack([factors.W_F0, np.ones((settings.n_freqs, 1))])
        again = replace(settings, iterations=settings.iterations // 2)
        factors = factorise(power, again, start=start, W_F0=W_F0, fixed={"H_gamma"})
    channels = range(power.shape[0])
    return np.stack([factors.lead(c) / np.maximum(factors.model(c), _GUARD) for c in channels])


def peak_gain(y):
    """Brings the loudest sample to 1, so that a quiet recording gives the same result as a loud one; 1 at silence."""
    peak = max(float(y.max()), -float(y.min()))
    return np.float32(1 / peak if peak > 0 else 1)


def working_signal(y, sr, settings):
    """y at the working rate and at peak 1, (..., samples)."""
    resampled = np.stack([audio.resample(c, sr, settings.sr) for c in np.atleast_2d(y)]).reshape(*y.shape[:-1], -1)
    resampled *= peak_gain(y)
    return resampled

