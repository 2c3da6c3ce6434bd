"""The divergence never rises, planted parts are found, fixed parts stay, silence does no harm."""

import warnings

import numpy as np
import pytest

from melodylab.dsp import nmf

KINDS = ["euclid", "kl", "is"]


@pytest.fixture(autouse=True)
def _no_warnings():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        yield


def planted(rng, rank=2, freqs=40, frames=60):
    W, H = rng.gamma(0.5, 1.0, (freqs, rank)), rng.gamma(0.5, 1.0, (rank, frames))
    return W, H, W @ H


def closest_parts(found, truth):
    """Correlation of each true spectrum with the found one that fits it best."""
    return [max(np.corrcoef(w, v)[0, 1] for v in found.T) for w in truth.T]


@pytest.mark.parametrize(("kind", "by_hand"), [
    ("euclid", 1 + 4),
    ("kl", (2 * np.log(2) - 2 + 1) + (1 * np.log(1 / 3) - 1 + 3)),
    ("is", (2 - np.log(2) - 1) + (1 / 3 - np.log(1 / 3) - 1)),
])  # fmt: skip
def test_divergences_worked_out_by_hand(kind, by_hand):
    assert nmf.divergence([[2.0, 1.0]], [[1.0, 3.0]], kind) == pytest.approx(by_hand, rel=1e-9)


@pytest.mark.parametrize("kind", KINDS)
def test_a_divergence_is_zero_for_equals_and_positive_otherwise(kind, rng):
    V = rng.gamma(0.5, 1.0, (10, 10))
    V[3] = 0
    assert nmf.divergence(V, V, kind) == 0
    assert nmf.divergence(V, V * 1.01, kind) > 0 and nmf.divergence(V * 1.01, V, kind) > 0


def test_only_itakura_saito_does_not_care_how_loud_both_are(rng):
    V, V_hat = rng.gamma(1.0, 1.0, (2, 10, 10))
    ratios = {
        kind: nmf.divergence(8 * V, 8 * V_hat, kind) / nmf.divergence(V, V_hat, kind)
        for kind in KINDS
    }
    assert ratios == pytest.approx({"euclid": 64, "kl": 8, "is": 1}, rel=1e-6)


@pytest.mark.parametrize("kind", KINDS)
def test_one_update_by_hand(kind):
    # one part: the sums of the update can be done on paper
    V = np.array([[4.0, 1.0], [2.0, 3.0]])
    W, H = np.array([[1.0], [2.0]]), np.array([[1.0, 1.0]])  # V_hat = [[1, 1], [2, 2]]
    gain = {
        "euclid": [(1 * 4 + 2 * 2) / (1 * 1 + 2 * 2), (1 * 1 + 2 * 3) / 5],
        "kl": [(1 * 4 / 1 + 2 * 2 / 2) / 3, (1 * 1 / 1 + 2 * 3 / 2) / 3],
        "is": [((4 / 1 + 2 * 2 / 4) / (1 / 1 + 2 / 2)) ** 0.5, ((1 / 1 + 2 * 3 / 4) / 2) ** 0.5],
    }[kind]
    result = nmf.factorise(V, W=W, H=H, fix_W=True, kind=kind, iterations=1)
    np.testing.assert_allclose(result.H, [gain], rtol=1e-9)
    turned = nmf.factorise(
        V.T, W=H.T, H=W.T, fix_H=True, kind=kind, iterations=1
    )  # W and H are the same game
    np.testing.assert_allclose(turned.W, np.transpose([gain]), rtol=1e-9)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("seed", range(3))
def test_the_divergence_never_rises(kind, seed, rng):
    V = rng.gamma(0.3, 1.0, (30, 50))  # nothing that five parts could explain
    trace = nmf.factorise(V, 5, kind=kind, iterations=150, seed=seed).trace
    assert trace.shape == (151,)
    assert np.diff(trace).max() <= 1e-12 * trace[0]
    assert trace[-1] < 0.9 * trace[0]


def test_without_the_exponent_itakura_saito_falls_faster_here(rng):
    V = planted(rng)[2]
    careful, bold = (
        nmf.factorise(V, 2, kind="is", exponent=e, iterations=10).trace for e in (None, 1.0)
    )
    assert bold[-1] < careful[-1] < careful[0]


@pytest.mark.parametrize("kind", KINDS)
def test_planted_parts_are_found_again(kind, rng):
    W, H, V = planted(rng)
    result = nmf.factorise(V, 2, kind=kind, iterations=1000, seed=1)
    assert result.trace[-1] < 1e-5 * result.trace[0]
    assert min(closest_parts(result.W, W)) > 0.99
    assert min(closest_parts(result.H.T, H.T)) > 0.99
    np.testing.assert_allclose(result.part(0) + result.part(1), result.model)


@pytest.mark.parametrize("kind", KINDS)
def test_the_trace_tells_the_truth(kind, rng):
    V = rng.gamma(0.5, 1.0, (20, 30))
    result = nmf.factorise(V, 3, kind=kind, iterations=20)
    assert result.trace[-1] == pytest.approx(nmf.divergence(V, result.model, kind), rel=1e-9)
    assert nmf.factorise(V, 3, kind=kind, iterations=0).trace.shape == (1,)
    shorter = nmf.factorise(V, 3, kind=kind, iterations=5)
    np.testing.assert_array_equal(shorter.trace, result.trace[:6])


@pytest.mark.parametrize("kind", KINDS)
def test_fixed_parts_come_back_bit_for_bit(kind, rng):
    W, H, V = planted(rng, rank=3)
    start = {"W": W + 0.1, "H": H + 0.1}
    for fixed, other in (("W", "H"), ("H", "W")):
        result = nmf.factorise(V, **start, **{f"fix_{fixed}": True}, kind=kind, iterations=10)
        np.testing.assert_array_equal(getattr(result, fixed), start[fixed])
        assert not np.array_equal(getattr(result, other), start[other])
        assert np.diff(result.trace).max() <= 0
    columns = nmf.factorise(
        V, **start, fix_W=[True, False, True], fix_H=[False, True, False], kind=kind, iterations=10
    )
    np.testing.assert_array_equal(columns.W[:, [0, 2]], start["W"][:, [0, 2]])
    np.testing.assert_array_equal(columns.H[1], start["H"][1])
    assert (
        not np.isclose(columns.W[:, 1], start["W"][:, 1]).all()
        and not np.isclose(columns.H[0], start["H"][0]).all()
    )
    both = nmf.factorise(V, **start, fix_W=True, fix_H=True, kind=kind, iterations=3)
    np.testing.assert_array_equal(both.trace, both.trace[0])


def test_known_activations_find_the_spectra(rng):
    W, H, V = planted(rng, rank=4)
    result = nmf.factorise(V, H=H, fix_H=True, iterations=300)
    np.testing.assert_allclose(
        result.W, W, atol=0.02 * W.max()
    )  # in order and in scale: nothing is left to choose


def test_a_zero_stays_a_zero(rng):
    H = rng.random((2, 30))
    H[0, :15] = 0
    result = nmf.factorise(rng.random((10, 30)), H=H, iterations=30)
    assert not result.H[0, :15].any() and result.H[0, 15:].any() and result.H[1].any()


def test_starts_are_copied_and_seeds_decide(rng):
    V, W = rng.random((10, 30)), rng.random((10, 2))
    before = W.copy()
    first = nmf.factorise(V, W=W, iterations=5)
    np.testing.assert_array_equal(W, before)
    np.testing.assert_array_equal(nmf.factorise(V, W=W, iterations=5).H, first.H)
    assert not np.array_equal(nmf.factorise(V, W=W, iterations=5, seed=1).H, first.H)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(
    "case", ["silence", "one silent cell", "silent rows and columns", "almost nothing", "very loud"]
)
def test_silence_does_no_harm(kind, case, rng):
    V = planted(rng)[2]
    if case == "silence":
        V = 0 * V
    elif case == "one silent cell":
        V = np.zeros((1, 1))
    elif case == "silent rows and columns":
        V[:5], V[:, 10:20], V[7, 7] = 0, 0, 0
    else:
        V *= 1e-20 if case == "almost nothing" else 1e20
    result = nmf.factorise(V, 3, kind=kind, iterations=100)
    assert all(np.isfinite(x).all() for x in (result.W, result.H, result.trace))
    assert np.diff(result.trace).max() <= 1e-12 * result.trace[0]
    if case == "silent rows and columns":
        assert max(result.model[:5].max(), result.model[:, 10:20].max()) < 1e-6 * V.max()
    if not V.any():
        assert not result.model.any() and not result.trace.any()


@pytest.mark.parametrize("kind", KINDS)
def test_sound_where_every_part_must_be_silent_costs_much_but_not_infinity(kind, rng):
    H = np.ones((2, 30))
    H[:, 10:] = 0  # no drum plays, yet there is sound
    result = nmf.factorise(rng.random((10, 30)) + 0.1, H=H, fix_H=True, kind=kind, iterations=20)
    assert np.isfinite(result.trace).all() and np.isfinite(result.W).all()
    assert np.diff(result.trace).max() <= 1e-12 * result.trace[0]


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"V": -np.ones((2, 2)), "rank": 1}, "V must be finite and not negative"),
        ({"V": np.full((2, 2), np.nan), "rank": 1}, "V must be finite and not negative"),
        ({"V": np.full((2, 2), np.inf), "rank": 1}, "V must be finite and not negative"),
        ({"V": np.ones(2), "rank": 1}, "V must be a matrix"),
        ({"V": np.ones((2, 2))}, "number of parts must be given once"),
        (
            {"V": np.ones((2, 2)), "rank": 3, "W": np.ones((2, 2))},
            r"given once, by rank, W or H; got \[2, 3\]",
        ),
        ({"V": np.ones((2, 2)), "W": np.ones((3, 1))}, r"W must be a matrix of shape \(2, 1\)"),
        ({"V": np.ones((2, 2)), "H": -np.ones((1, 2))}, "H must be finite and not negative"),
        ({"V": np.ones((2, 2)), "rank": 1, "fix_H": True}, "fix_H needs a H"),
        (
            {"V": np.ones((2, 2)), "rank": 1, "kind": "l1"},
            "unknown divergence 'l1'; choose from euclid, kl, is",
        ),
    ],
)
def test_what_makes_no_sense_is_refused(arguments, words):
    with pytest.raises(ValueError, match=words):
        nmf.factorise(**arguments)
