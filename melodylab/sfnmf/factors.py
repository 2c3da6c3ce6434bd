"""A factorised song: its matrices, the spectrograms they stand for, and the start of them all."""

from dataclasses import dataclass, field

import numpy as np

from melodylab.sfnmf.dictionaries import PUBLISHED, Settings


@dataclass(frozen=True, eq=False)
class Factors:
    """One song's factorisation. Methods give the model's spectrograms.

    Parameters
    ----------
    W_F0, H_F0 : numpy.ndarray
        Combs (F, U) and how active each is (U, N).
    W_gamma, H_gamma, H_phi : numpy.ndarray
        Smooth bands (F, P), filters built from them (P, K), and how active each is (K, N).
    W_B, H_B : numpy.ndarray
        Parts of the accompaniment (F, R) and how active each is (R, N).
    alpha, beta : numpy.ndarray
        Gains with which a channel hears the lead (C,) and each part (C, R).
    cost : numpy.ndarray
        (iterations + 1,): Itakura-Saito divergence before each iteration and after the last, summed
        over all cells.
    settings : Settings, optional
        They were found with.
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

    def source(self) -> np.ndarray:
        """S_F0 = W_F0 H_F0: harmonic combs, as loud as each pitch is active.

        Returns
        -------
        numpy.ndarray
            (F, N).
        """
        return self.W_F0 @ self.H_F0

    def filter(self) -> np.ndarray:
        """S_phi = W_gamma H_gamma H_phi: the smooth colouring of the source.

        Returns
        -------
        numpy.ndarray
            (F, N).
        """
        return self.W_gamma @ self.H_gamma @ self.H_phi

    def lead(self, channel: int = 0) -> np.ndarray:
        """Power spectrum of the sung part: source times filter.

        Parameters
        ----------
        channel : int
            Which, from 0.

        Returns
        -------
        numpy.ndarray
            (F, N).
        """
        return self.alpha[channel] ** 2 * self.source() * self.filter()

    def accompaniment(self, channel: int = 0) -> np.ndarray:
        """Power spectrum of the rest, S_B = W_B H_B.

        Parameters
        ----------
        channel : int
            Which, from 0.

        Returns
        -------
        numpy.ndarray
            (F, N).
        """
        return (self.W_B * self.beta[channel] ** 2) @ self.H_B

    def model(self, channel: int = 0) -> np.ndarray:
        """V_hat, the sum of lead and accompaniment.

        Parameters
        ----------
        channel : int
            Which, from 0.

        Returns
        -------
        numpy.ndarray
            (F, N).
        """
        return self.lead(channel) + self.accompaniment(channel)

    def pitch_power(self) -> np.ndarray:
        """Power that each pitch contributes after the filter.

        H_F0 alone has an arbitrary scale from frame to frame, shared with H_phi (trap T6); this
        product has not.

        Returns
        -------
        numpy.ndarray
            (U, N).
        """
        return self.H_F0 * (self.W_F0.T @ self.filter())


def random_start(
    settings: Settings,
    n_channels: int,
    n_frames: int,
    rng: np.random.Generator,
    n_pitches: int | None = None,
) -> dict[str, np.ndarray]:
    """The published start: |standard normal noise| in all five matrices; equal gains of the lead.

    Parameters
    ----------
    settings : Settings
        Sizes of the matrices.
    n_channels, n_frames : int
        C and N.
    rng : numpy.random.Generator
        Draws the noise.
    n_pitches : int, optional
        U, where the source dictionary is another.

    Returns
    -------
    dict
        {"H_F0", "H_gamma", "H_phi", "W_B", "H_B", "alpha", "beta"}: float64 arrays, shaped as in
        `Factors`.
    """
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
    # the first parts of the accompaniment lean to different channels, so that equal gains are no
    # fixed point
    beta = rng.uniform(0.1, 1, (n_channels, settings.n_accompaniment))
    start["beta"] = beta / beta.sum(axis=0)
    return start
