"""Source-filter NMF as a reader of the paper would write it: what ours is timed against."""


def textbook_updates(V, W_F0, W_gamma, start, iterations):
    """The five updates of the paper, one line after the other, float64, no block and no
    shortcut.
    """
    eps = 1e-20
    H_F0, H_gamma, H_phi, W_B, H_B = (
        start[name].copy() for name in ("H_F0", "H_gamma", "H_phi", "W_B", "H_B")
    )
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
        H_gamma *= (W_gamma.T @ ((S_F0 * V / V_hat**2) @ H_phi.T)) / (
            W_gamma.T @ ((S_F0 / V_hat) @ H_phi.T) + eps
        )
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
