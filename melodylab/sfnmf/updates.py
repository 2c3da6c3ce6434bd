"""The multiplicative updates of source-filter NMF.

The model, and what each of its five unknown matrices is multiplied by, as the papers write it (*
and / element by element, ^T transposed):

    S_F0 = W_F0 H_F0       W_phi = W_gamma H_gamma       S_phi = W_phi H_phi       S_B = W_B H_B
    V_hat = S_F0 * S_phi + S_B             A = V / V_hat^2             D = 1 / V_hat

    H_F0     by   W_F0^T (S_phi * A)            /   W_F0^T (S_phi * D)
    H_phi    by   W_phi^T (S_F0 * A)            /   W_phi^T (S_F0 * D)
    H_B      by   W_B^T A                       /   W_B^T D
    H_gamma  by   W_gamma^T (S_F0 * A) H_phi^T  /   W_gamma^T (S_F0 * D) H_phi^T
    W_B      by   A H_B^T                       /   D H_B^T

each ratio to the power `Settings.exponent`, in this order, V_hat taken anew before each. Then the
columns of H_gamma and W_B are brought to sum 1, and H_phi and H_B take the scale.

`_Model` holds these updates first, each under its own name. What stands below them is not in the
papers: songs in a batch, channels with gains, and blocks of frames that cores share.
Sources: Durrieu 2011; order and normalisations as in the code of Basaran 2018.
"""

from collections.abc import Callable, Collection

import numpy as np
import torch

from melodylab.sfnmf.cores import pool
from melodylab.sfnmf.dictionaries import PUBLISHED, Settings, smooth_filters, source_dictionary
from melodylab.sfnmf.factors import Factors, random_start

_GUARD = 1e-20  # keeps 0 / 0 at 0: a comb that is switched off stays off
# at most, in a block that one core works on: few enough for its cache, many enough to pay for the
# call
_FRAMES_AT_ONCE = 800


class _Model:
    """The matrices while they are being estimated: torch tensors, the songs of a batch in front."""

    def __init__(self, power, settings, starts, W_F0, fixed, dtype, device, n_threads):
        def tensor(array):
            return torch.tensor(np.asarray(array), dtype=dtype, device=device)

        def stacked(name):
            return tensor(np.stack([start[name] for start in starts]))

        self.settings, self.fixed = settings, frozenset(fixed)
        self.V = tensor(power).clamp_(min=settings.floor)  # (B, C, F, N)
        self.W_F0 = tensor(W_F0)  # (F, U)
        self.W_gamma = tensor(smooth_filters(settings))  # (F, P)
        self.H_F0, self.H_gamma, self.H_phi = stacked("H_F0"), stacked("H_gamma"), stacked("H_phi")
        self.W_B, self.H_B = stacked("W_B"), stacked("H_B")
        self.alpha, self.beta = stacked("alpha"), stacked("beta")  # (B, C) and (B, C, R)
        self.n_threads = n_threads
        self.S_F0 = self.alone(lambda: self.W_F0 @ self.H_F0)  # (B, F, N)
        self.costs = []
        n_frames = self.V.shape[-1]
        # even, and of equal size, so that two cores end together
        n_blocks = 2 * -(-n_frames // (2 * _FRAMES_AT_ONCE))
        edges = [n_frames * k // n_blocks for k in range(n_blocks + 1)]
        self.blocks = [
            slice(first, stop)
            for first, stop in zip(edges, edges[1:], strict=False)
            if first < stop
        ]

    # --- the five updates

    def iterate(self):
        """One round of the five updates, after the gains where there are several channels."""
        if self.V.shape[1] > 1:
            self.update_gains()
        self.update_activations()
        if "H_gamma" not in self.fixed:
            self.update_H_gamma()
        if "W_B" not in self.fixed:
            self.update_W_B()

    def update_activations(self):
        """H_F0, H_phi and H_B in this order.

        A column needs no other column, so a block of frames goes through all three.
        """
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

    # --- their ratio: correlations of a dictionary with A and with D

    def step(self, numerator, denominator):
        return (numerator / denominator.clamp(min=_GUARD)) ** self.settings.exponent

    def correlate(self, dictionary, weight, A, D):
        """dictionary^T (weight * A) over dictionary^T (weight * D): the ratio of an update, (B,
        rows, n).
        """
        return self.step(
            *(dictionary.transpose(-1, -2) @ (weight * self.heard_by_lead(x)) for x in (A, D))
        )

    def ratios(self, frames, S_F0, S_phi, S_B):
        """A and D of a block of frames, each (B, C, F, n).

        From S_F0 and S_phi, each (B, F, n), and S_B, (B, C, F, n).
        """
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

    def cost_of(self, frames, D):
        """Itakura-Saito divergence of a block, sum V / V_hat - log(V / V_hat) - 1, per song."""
        ratio = self.V[..., frames] * D
        cells = ratio[0].numel()
        return (
            ratio.sum(dim=(1, 2, 3)).double() - ratio.log_().sum(dim=(1, 2, 3)).double() - cells
        ).cpu()

    def W_phi(self):
        return self.alone(lambda: self.W_gamma @ self.H_gamma)  # (B, F, K)

    def W_B_of_channels(self):
        return self.W_B[:, None] * self.beta[:, :, None, :] ** 2  # (B, C, F, R)

    # --- channels

    def lead_of_channels(self, lead):
        return (
            lead[:, None]
            if self.V.shape[1] == 1
            else self.alpha[:, :, None, None] ** 2 * lead[:, None]
        )

    def heard_by_lead(self, A):
        """Sum over channels, weighted as the channels hear the lead: (B, C, F, n) -> (B, F, n)."""
        return A[:, 0] if self.V.shape[1] == 1 else (self.alpha[:, :, None, None] ** 2 * A).sum(1)

    def update_gains(self):
        """How loud each channel hears the lead and each part.

        With a tenth of the exponent; sums over channels stay 1.
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

    # --- blocks, cores, results

    def for_each(self, function, blocks):
        return list(pool(self.n_threads).map(function, blocks))

    def alone(self, function):
        """A product on one core, whose bits do not depend on how many there are."""
        return pool(self.n_threads).submit(function).result()

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


def factorise(
    power: np.ndarray,
    settings: Settings = PUBLISHED,
    *,
    start: dict[str, np.ndarray] | None = None,
    seed: int = 0,
    W_F0: np.ndarray | None = None,
    fixed: Collection[str] = (),
    dtype: torch.dtype | None = None,
    keep: Callable[[int, list[Factors]], object] | None = None,
) -> Factors:
    """Estimate the model of one song.

    Parameters
    ----------
    power : numpy.ndarray
        Its power spectrum, (F, N) or (C, F, N), not below zero.
    settings : Settings, optional
        Of the factorisation.
    start : dict, optional
        As from `random_start`, not written into; without it the song draws from (seed, 0).
    seed, W_F0, fixed, dtype, keep
        As in `factorise_batch`.

    Returns
    -------
    Factors
        Activations near zero and no NaN at silence.

    Raises
    ------
    ValueError
        On a wrong number of frequencies.
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
    power: np.ndarray,
    settings: Settings = PUBLISHED,
    *,
    starts: list[dict[str, np.ndarray]] | None = None,
    seed: int = 0,
    W_F0: np.ndarray | None = None,
    fixed: Collection[str] = (),
    dtype: torch.dtype | None = None,
    keep: Callable[[int, list[Factors]], object] | None = None,
    device: str = "cpu",
) -> list[Factors]:
    """Estimate the models of several songs, or blocks of one song, at once.

    Parameters
    ----------
    power : numpy.ndarray
        (B, C, F, N), not below zero.
    settings : Settings, optional
        Of the factorisation.
    starts : list of dict, optional
        One a song, as from `random_start`; without it song b draws from (seed, b).
    seed : int
        Of the random start.
    W_F0 : numpy.ndarray, optional
        Another source dictionary, (F, U).
    fixed : collection of str
        Which of H_F0, H_gamma and W_B to leave as they start; H_phi and H_B take every scale, so
        they always move.
    dtype : torch.dtype, optional
        float32 unless given.
    keep : callable, optional
        keep(iteration, list of Factors) is called with a copy after every iteration.
    device : str
        Of torch.

    Returns
    -------
    list of Factors
        One a song; activations near zero and no NaN at silence.

    Raises
    ------
    ValueError
        On another shape of `power`, or another name in `fixed`.
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
