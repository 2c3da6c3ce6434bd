"""Non-negative matrix factorisation: V is about W @ H, all without a negative number.

NumPy only, to be read. Shapes: V (freq, time), W (freq, rank) the parts' spectra, H (rank, time)
their levels. With V_hat = W H the divergences are

    euclid   sum (v - v_hat)^2
    kl       sum v log(v / v_hat) - v + v_hat      (generalised Kullback-Leibler)
    is       sum v / v_hat - log(v / v_hat) - 1    (Itakura-Saito: quiet cells count as loud ones)

and each is lowered by multiplying every entry with what pulls it up divided by what pushes it down:

    H <- H * [ W^T P / W^T Q ]^exponent          W <- W * [ P H^T / Q H^T ]^exponent

    euclid   P = V           Q = V_hat          exponent 1
    kl       P = V / V_hat   Q = 1              exponent 1
    is       P = V / V_hat^2 Q = 1 / V_hat      exponent 1/2

With these it provably never rises (for is 1 is faster and nearly always falls too).

A zero stays a zero under multiplication: what is 0 at the start (a drum that does not play in this
frame) remains silent. To keep digital silence harmless, FLOOR times the largest v is added to V and
to V_hat alike, as one more part that never changes; nothing divides by zero, silence against
silence costs nothing, and a perfect fit stays perfect.

Sources: Lee & Seung 2001 (euclid, kl); Fevotte, Bertin & Durrieu 2009 (is); Fevotte & Idier 2011
(the exponent).
Notebooks 02_source_filter_nmf and 07_drums use this module.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

FLOOR = 1e-12  # -120 dB if V holds powers


_PULL_AND_PUSH = {  # kind -> (P, Q) of the table above; None stands for 1 in every cell
    "euclid": lambda V, V_hat: (V, V_hat),
    "kl": lambda V, V_hat: (V / V_hat, None),
    "is": lambda V, V_hat: (V / V_hat**2, 1 / V_hat),
}


@dataclass(frozen=True, eq=False)
class Factorisation:
    """What `factorise` found.

    Attributes
    ----------
    W : numpy.ndarray
        (freq, rank), the parts' spectra.
    H : numpy.ndarray
        (rank, time), their levels.
    trace : numpy.ndarray
        (iterations + 1,), the divergence at the start and after each iteration.
    """

    W: np.ndarray
    H: np.ndarray
    trace: np.ndarray

    @property
    def model(self) -> np.ndarray:
        """W @ H, (freq, time)."""
        return self.W @ self.H

    def part(self, k: int) -> np.ndarray:
        """What one part alone contributes; the parts sum to the model.

        Parameters
        ----------
        k : int
            0 .. rank - 1.

        Returns
        -------
        numpy.ndarray
            (freq, time).
        """
        return np.outer(self.W[:, k], self.H[k])


def divergence(V: ArrayLike, V_hat: ArrayLike, kind: str = "kl") -> float:
    """How badly V_hat explains V.

    Parameters
    ----------
    V, V_hat : array_like
        (freq, time) >= 0.
    kind : str
        "kl", "is" or "euclid".

    Returns
    -------
    float
        0 if they are equal, silence included; never negative.

    Raises
    ------
    ValueError
        For what is negative, not finite or of another shape, and for an unknown kind.
    """
    V = _checked("V", V)
    floor = _floor(V)
    return _divergence(V + floor, _checked("V_hat", V_hat, V.shape) + floor, kind)


def factorise(
    V: ArrayLike,
    rank: int | None = None,
    *,
    W: ArrayLike | None = None,
    H: ArrayLike | None = None,
    fix_W: bool | ArrayLike = False,
    fix_H: bool | ArrayLike = False,
    kind: str = "kl",
    exponent: float | None = None,
    iterations: int = 100,
    seed: int = 0,
    traced: bool = True,
) -> Factorisation:
    """Factorise V by multiplicative updates, H first, then W.

    Silence, zero rows and zero columns are fine: their W or H goes to zero. Same seed, same bits.

    Parameters
    ----------
    V : array_like
        (freq, time) >= 0.
    rank : int, optional
        Number of parts; may be left out if W or H is given.
    W, H : array_like, optional
        Start values, (freq, rank) and (rank, time), copied; what is missing is drawn from `seed`.
    fix_W, fix_H : bool or array_like
        True keeps W or H as given, (rank,) bools keep those columns or rows, bit for bit.
    kind : str
        The divergence: "kl", "is" or "euclid".
    exponent : float, optional
        Of the step; by default the provably falling one of the module's table.
    iterations : int
        How many rounds.
    seed : int
        Of the start.
    traced : bool
        False leaves `trace` empty, which takes half the time, for a divergence needs a logarithm of
        every cell.

    Returns
    -------
    Factorisation
        W, H and the trace.

    Raises
    ------
    ValueError
        For what is negative or not finite, and for shapes that do not go together.
    """
    V = _checked("V", V)
    rank = _rank(rank, W, H)
    rng = np.random.default_rng(seed)
    for name, fixed, given in (("W", fix_W, W), ("H", fix_H, H)):
        if np.any(fixed) and given is None:
            raise ValueError(f"fix_{name} needs a {name} to keep")
    # positive everywhere, and as loud as V on average
    W = (
        rng.uniform(0.5, 1.5, (len(V), rank))
        if W is None
        else _checked("W", W, (len(V), rank)).copy()
    )
    if H is None:
        H = rng.uniform(0.5, 1.5, (rank, V.shape[1])) * V.mean() / (W.sum(axis=1).mean() or 1.0)
    else:
        H = _checked("H", H, (rank, V.shape[1])).copy()
    free_W, free_H = (
        np.broadcast_to(~np.asarray(fixed, dtype=bool), (rank,)) for fixed in (fix_W, fix_H)
    )
    floor = _floor(V)
    V = V + floor
    V_hat = W @ H + floor
    exponent = (0.5 if kind == "is" else 1.0) if exponent is None else exponent
    trace = [_divergence(V, V_hat, kind)] if traced else []
    for _ in range(iterations):
        if free_H.any():
            H[free_H] *= _gain(W[:, free_H], V, V_hat, kind) ** exponent
            V_hat = W @ H + floor
        if free_W.any():
            W[:, free_W] *= _gain(H[free_W].T, V.T, V_hat.T, kind).T ** exponent
            V_hat = W @ H + floor
        if traced:
            trace.append(_divergence(V, V_hat, kind))
    return Factorisation(W, H, np.array(trace))


def _gain(basis, V, V_hat, kind):
    """basis^T P / basis^T Q: above 1 where a level should rise.

    basis (rows of V, parts) -> (parts, columns of V).
    """
    pull, push = _PULL_AND_PUSH[kind](V, V_hat)
    down = basis.sum(axis=0)[:, None] if push is None else basis.T @ push
    return (basis.T @ pull) / np.maximum(
        down, np.finfo(float).tiny
    )  # a part of zeros stays one: 0 / tiny


def _divergence(V, V_hat, kind):
    if kind not in _PULL_AND_PUSH:
        raise ValueError(f"unknown divergence {kind!r}; choose from {', '.join(_PULL_AND_PUSH)}")
    if kind == "euclid":
        return float(np.sum((V - V_hat) ** 2))
    ratio = V / V_hat
    cells = V * np.log(ratio) - V + V_hat if kind == "kl" else ratio - np.log(ratio) - 1
    return max(0.0, float(np.sum(cells)))  # rounding may leave -1e-16 of a perfect fit


def _floor(V):
    return FLOOR * (V.max(initial=0) or 1.0)


def _rank(rank, W, H):
    ranks = {
        int(r)
        for r in (
            rank,
            None if W is None else np.shape(W)[-1],
            None if H is None else np.shape(H)[0],
        )
        if r
    }
    if len(ranks) != 1:
        raise ValueError(
            "the number of parts must be given once, by rank, W or H; "
            f"got {sorted(ranks) or 'none'}"
        )
    return ranks.pop()


def _checked(name, matrix, shape=None):
    matrix = np.asarray(matrix, dtype=np.float64)
    if matrix.ndim != 2 or (shape is not None and matrix.shape != shape):
        raise ValueError(
            f"{name} must be a matrix of shape {shape or '(freq, time)'}, got {matrix.shape}"
        )
    if not np.all((matrix >= 0) & (matrix < np.inf)):  # NaN fails too
        raise ValueError(f"{name} must be finite and not negative")
    return matrix
