"""The multiplicative updates of source-filter NMF, one block of a song or several at a time."""

import os
import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field

import numpy as np
import torch

from melodylab.sfnmf.dictionaries import PUBLISHED, Settings, smooth_filters, source_dictionary

_GUARD = 1e-20  # keeps 0 / 0 at 0: a comb that is switched off stays off


_FRAMES_AT_ONCE = 800  # at most, in a block that one core works on: few enough for its cache, many enough to pay for the call


# --- the model ------------------------------------------------------------------------------------


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


def factorise(
    power, settings=PUBLISHED, *, start=None, seed=0, W_F0=None, fixed=(), dtype=None, keep=None
):
    """Estimate the model of one song from its power spectrum (F, N) or (C, F, N); see `factorise_batch` for the options.

    Returns Factors. Silence gives activations near zero and no NaN. Raises ValueError on a wrong number of frequencies.
    """
    power = np.asarray(power)
    power = power[None] if power.ndim == 2 else power
    return factorise_batch(
        power[None],
        settings,
        starts=start and [start],
        seed=seed,
        W_F0=W_F0,
        fixed=fixed,
        dtype=dtype,
        keep=keep,
    )[0]


def factorise_batch(
    power,
    settings=PUBLISHED,
    *,
    starts=None,
    seed=0,
    W_F0=None,
    fixed=(),
    dtype=None,
    keep=None,
    device="cpu",
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
        raise ValueError(
            f"power must be (songs, channels, {settings.n_freqs}, frames), got {power.shape}"
        )
    if not {"H_F0", "H_gamma", "W_B"}.issuperset(fixed):
        raise ValueError(f"only H_F0, H_gamma and W_B can be fixed, got {', '.join(sorted(fixed))}")
    if W_F0 is None:
        W_F0 = source_dictionary(settings)
    if starts is None:
        starts = [
            random_start(
                settings,
                power.shape[1],
                power.shape[3],
                np.random.default_rng([seed, b]),
                W_F0.shape[1],
            )
            for b in range(len(power))
        ]
    n_threads = torch.get_num_threads()
    model = _Model(power, settings, starts, W_F0, fixed, dtype or torch.float32, device, n_threads)
    for iteration in range(settings.iterations):
        model.iterate()
        if keep is not None:
            keep(iteration + 1, model.factors())
    return model.factors()


_POOLS: dict[int, ThreadPoolExecutor] = {}
_POOLS_LOCK = threading.Lock()


def _pool(n_threads):
    """Threads that compute alone, one a core; made once, for their making is felt by others.

    torch would rather split every small operation over the cores; on a machine that others use too, those thousands of
    meetings an iteration cost twenty times the work. But its number of threads, once set, is also what every new thread of
    the process begins with: so it is one for as long as these here start, and then what it was.
    """
    with _POOLS_LOCK:
        if n_threads not in _POOLS:
            everyone_started = threading.Barrier(n_threads)

            def start():
                torch.get_num_threads()  # else torch sets this thread's number at its first product
                torch.set_num_threads(1)
                everyone_started.wait()

            pool = ThreadPoolExecutor(n_threads, thread_name_prefix="sfnmf")
            for started in [pool.submit(start) for _ in range(n_threads)]:
                started.result()
            torch.set_num_threads(n_threads)
            _POOLS[n_threads] = pool
        return _POOLS[n_threads]


def _forget_pools():
    global _POOLS_LOCK
    _POOLS.clear()
    _POOLS_LOCK = threading.Lock()


if hasattr(os, "register_at_fork"):  # a child has the pools of its parent, but not their threads
    os.register_at_fork(after_in_child=_forget_pools)


class _Model:
    """The matrices while they are being estimated, as torch tensors with the songs of a batch in front."""

    def __init__(self, power, settings, starts, W_F0, fixed, dtype, device, n_threads):
        def tensor(array):
            return torch.tensor(np.asarray(array), dtype=dtype, device=device)

        def stacked(name):
            return tensor(np.stack([start[name] for start in starts]))

        self.settings, self.fixed = settings, frozenset(fixed)
        self.V = tensor(power).clamp_(min=settings.floor)  # (B, C, F, N)
        self.W_F0, self.W_gamma = (
            tensor(W_F0),
            tensor(smooth_filters(settings)),
        )  # (F, U) and (F, P)
        self.H_F0, self.H_gamma, self.H_phi = stacked("H_F0"), stacked("H_gamma"), stacked("H_phi")
        self.W_B, self.H_B = stacked("W_B"), stacked("H_B")
        self.alpha, self.beta = stacked("alpha"), stacked("beta")  # (B, C) and (B, C, R)
        self.n_threads = n_threads
        self.S_F0 = self.alone(lambda: self.W_F0 @ self.H_F0)  # (B, F, N)
        self.costs = []
        n_frames = self.V.shape[-1]
        n_blocks = 2 * -(
            -n_frames // (2 * _FRAMES_AT_ONCE)
        )  # even, and of equal size, so that two cores end together
        edges = [n_frames * k // n_blocks for k in range(n_blocks + 1)]
        self.blocks = [
            slice(first, stop)
            for first, stop in zip(edges, edges[1:], strict=False)
            if first < stop
        ]

    def for_each(self, function, blocks):
        return list(_pool(self.n_threads).map(function, blocks))

    def alone(self, function):
        """A product on one core, whose bits do not depend on how many there are."""
        return _pool(self.n_threads).submit(function).result()

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
        return self.ratios(
            frames,
            self.S_F0[..., frames],
            W_phi @ self.H_phi[..., frames],
            W_B @ self.H_B[:, None, :, frames],
        )

    def lead_of_channels(self, lead):
        return (
            lead[:, None]
            if self.V.shape[1] == 1
            else self.alpha[:, :, None, None] ** 2 * lead[:, None]
        )

    def heard_by_lead(self, A):
        """Sum over channels, weighted as the channels hear the lead: (B, C, F, n) -> (B, F, n)."""
        return A[:, 0] if self.V.shape[1] == 1 else (self.alpha[:, :, None, None] ** 2 * A).sum(1)

    def W_phi(self):
        return self.alone(lambda: self.W_gamma @ self.H_gamma)  # (B, F, K)

    def W_B_of_channels(self):
        return self.W_B[:, None] * self.beta[:, :, None, :] ** 2  # (B, C, F, R)

    def step(self, numerator, denominator):
        return (numerator / denominator.clamp(min=_GUARD)) ** self.settings.exponent

    def correlate(self, dictionary, weight, A, D):
        """dictionary^T (weight * A) over dictionary^T (weight * D): the ratio of an update, (B, rows, n)."""
        return self.step(
            *(dictionary.transpose(-1, -2) @ (weight * self.heard_by_lead(x)) for x in (A, D))
        )

    def update_activations(self):
        """H_F0, H_phi and H_B in this order. A column needs no other column, so a block of frames goes through all three."""
        W_phi, W_B = self.W_phi(), self.W_B_of_channels()

        def update(n):
            S_F0, S_phi, S_B = (
                self.S_F0[..., n],
                W_phi @ self.H_phi[..., n],
                W_B @ self.H_B[:, None, :, n],
            )
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
        return (
            ratio.sum(dim=(1, 2, 3)).double() - ratio.log_().sum(dim=(1, 2, 3)).double() - cells
        ).cpu()

    def update_H_gamma(self):
        """H_gamma sees all frames; its columns then sum to 1 and H_phi takes the scale."""
        W_phi, W_B = self.W_phi(), self.W_B_of_channels()

        def gather(n):  # numerator and denominator, (2, B, F, K)
            S_F0, H_phi = self.S_F0[..., n], self.H_phi[..., n].transpose(-1, -2)
            return torch.stack(
                [(S_F0 * self.heard_by_lead(x)) @ H_phi for x in self.ratios_now(n, W_phi, W_B)]
            )

        both = sum(self.for_each(gather, self.blocks))
        self.H_gamma *= self.step(*self.alone(lambda: self.W_gamma.T @ both))
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
        for gains, sums in zip(
            (self.alpha, self.beta), map(sum, zip(*gathered, strict=True)), strict=True
        ):
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
