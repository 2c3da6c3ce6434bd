"""Drums, struck: each function draws one and returns strike(rng, hardness 0..1) -> (samples,)."""

import numpy as np

from melodylab.synth.instruments import partials
from melodylab.synth.sounds import add, noise_band, ramp


def _skin(low_hz, fall, fall_s, decay_s, samples, sr):
    """A sine whose pitch falls from (1 + fall) low_hz to low_hz, the way a struck skin slackens."""
    t = np.arange(samples) / sr
    return np.sin(2 * np.pi * low_hz * (t + fall * fall_s * (1 - np.exp(-t / fall_s)))) * np.exp(
        -t / decay_s
    )


def _burst(rng, low_hz, high_hz, decay_s, samples, sr):
    return noise_band(rng, samples, low_hz, high_hz, sr) * np.exp(
        -np.arange(samples) / (sr * decay_s)
    )


def _kick(rng, sr, machine):
    low_hz, decay_s = rng.uniform(38, 78), np.exp(rng.uniform(np.log(0.015), np.log(0.2)))
    if machine and rng.random() < 0.5:
        decay_s = rng.uniform(0.2, 0.5)
    fall, fall_s = (
        rng.uniform(0.6, 6) if machine else rng.uniform(0.1, 1.5),
        rng.uniform(0.005, 0.05),
    )
    click, click_hz, click_s = (
        rng.uniform(0, 0.7),
        rng.uniform(1000, 6000),
        rng.uniform(0.002, 0.02),
    )
    shell, drive, beater = (
        0 if machine else rng.uniform(0.05, 0.5),
        rng.uniform(0.3, 3),
        rng.uniform(0, 0.4),
    )

    def strike(take, hardness):
        samples = round(min(0.9, 6 * decay_s + 0.08) * sr)
        hit = _skin(low_hz, fall * (0.5 + 0.5 * hardness), fall_s, decay_s, samples, sr)
        hit += click * hardness * _burst(take, click_hz / 2, click_hz * 2, click_s, samples, sr)
        if shell:
            hit += shell * _skin(low_hz * 1.8, fall, fall_s, decay_s / 3, samples, sr)
            hit += 0.3 * shell * _burst(take, 150, 900, 0.03, samples, sr)
        if beater:
            hit += beater * hardness * _skin(click_hz / 3, 1, 0.002, 0.004, samples, sr)
        return np.tanh(drive * hit) / drive

    return strike


def _snare(rng, sr, machine):
    low_hz, fall, fall_s = rng.uniform(110, 290), rng.uniform(0.05, 0.8), rng.uniform(0.01, 0.04)
    ratios = np.array([1, rng.uniform(1.4, 1.95), rng.uniform(2.1, 2.6), rng.uniform(2.9, 3.6)])
    strengths, body_s = rng.uniform(0.2, 1, 4) / np.arange(1, 5), rng.uniform(0.02, 0.14)
    wires, wires_s, tail_s = (
        np.exp(rng.uniform(np.log(0.05), np.log(1.2))),
        rng.uniform(0.03, 0.12),
        rng.uniform(0.08, 0.25),
    )
    low_cut_hz, high_cut_hz, tail = (
        rng.uniform(300, 3000),
        rng.uniform(5000, 15000),
        rng.uniform(0, 0.3),
    )
    drive, stick = rng.uniform(0.3, 2.5), rng.uniform(0, 0.5)

    def strike(take, hardness):
        samples = round(min(0.7, 6 * max(body_s, tail_s, wires_s)) * sr)
        hit = strengths[0] * _skin(low_hz, fall * hardness, fall_s, body_s, samples, sr)
        bends = 1 if machine else take.uniform(0.98, 1.02)
        hit += partials(
            low_hz * ratios[1:] * bends, strengths[1:], body_s / ratios[1:], samples, sr
        )
        hit += wires * _burst(
            take, low_cut_hz, high_cut_hz * (0.6 + 0.4 * hardness), wires_s, samples, sr
        )
        hit += tail * wires * _burst(take, low_cut_hz, high_cut_hz / 1.5, tail_s, samples, sr)
        hit += stick * hardness * _burst(take, 2000, 9000, 0.004, samples, sr)
        return np.tanh(drive * hit) / drive

    return strike


def _clap(rng, sr, machine):
    low_hz, high_hz, gap_s = (
        rng.uniform(500, 1200),
        rng.uniform(1800, 6000),
        rng.uniform(0.006, 0.014),
    )
    hands, tail_s, tail = int(rng.integers(2, 5)), rng.uniform(0.03, 0.2), rng.uniform(0.3, 1)

    def strike(take, hardness):
        samples = round((hands * gap_s + 5 * tail_s) * sr)
        hit = np.zeros(samples)
        for n in range(hands):
            add(hit, _burst(take, low_hz, high_hz, 0.4 * gap_s, samples, sr), n * gap_s, sr)
        add(hit, tail * _burst(take, low_hz, high_hz, tail_s, samples, sr), (hands - 1) * gap_s, sr)
        return hit

    return strike


def _rim(rng, sr, machine):
    freqs_hz = rng.uniform(380, 900) * np.array([1, rng.uniform(1.5, 2.2), rng.uniform(2.5, 4)])
    decay_s, stick = rng.uniform(0.008, 0.03), rng.uniform(0.2, 1)

    def strike(take, hardness):
        samples = round(8 * decay_s * sr)
        return partials(freqs_hz, [1, 0.8, 0.5], decay_s, samples, sr) + stick * _burst(
            take, 1500, 9000, 0.004, samples, sr
        )

    return strike


def _metal(rng, machine):
    """What the sounds of one hi-hat share: partials, their levels, and how much is noise."""
    if machine and rng.random() < 0.6:  # six square waves, as in the machines of around 1980
        roots = (
            rng.uniform(0.7, 1.5)
            * np.array([205.3, 304.4, 369.6, 522.7, 540.0, 800.0])
            * rng.uniform(0.9, 1.1, 6)
        )
        odd = np.arange(5, 41, 4)
        freqs_hz, strengths = np.outer(roots, odd).ravel(), np.tile(1 / odd, 6)
    else:
        count = int(rng.integers(8, 40))
        freqs_hz, strengths = (
            np.exp(rng.uniform(np.log(2000), np.log(16000), count)),
            rng.uniform(0.2, 1, count) / count,
        )
    tilt = rng.uniform(-0.5, 1.5)
    strengths = strengths * np.minimum(freqs_hz / 8000, 3) ** tilt
    strengths = strengths / np.sqrt(np.sum(strengths**2))
    if rng.random() < 0.6:  # a plate rings low, too
        body = rng.uniform(0.1, 1.2) * rng.uniform(0.2, 1, int(rng.integers(3, 10)))
        freqs_hz = np.concatenate(
            [freqs_hz, np.exp(rng.uniform(np.log(250), np.log(2500), len(body)))]
        )
        strengths = np.concatenate([strengths, body / np.sqrt(len(body))])
    return freqs_hz, strengths, rng.uniform(0.05, 0.95)


def _hat(rng, sr, metal, decay_s):
    freqs_hz, strengths, noisy = metal
    low_hz, high_hz = np.exp(rng.uniform(np.log(800), np.log(8000))), rng.uniform(9000, 18000)
    tap, thump = rng.uniform(0, 0.6), rng.choice([0, 0.1, 0.3]) * rng.random()
    # a plate needs time to ring
    bloom_s = rng.uniform(0.01, 0.06) if decay_s > 0.1 and rng.random() < 0.5 else 0.0

    def strike(take, hardness):
        samples = round(min(6 * decay_s + 0.01, 1.6) * sr)
        decays_s = decay_s * np.exp(0.3 * np.cos(np.arange(len(freqs_hz)) * 2.4))
        jitter = np.exp(take.normal(0, 0.15, len(strengths)))
        hit = (1 - noisy) * partials(freqs_hz, strengths * jitter, decays_s, samples, sr)
        hit += noisy * _burst(take, low_hz * (1.2 - 0.2 * hardness), high_hz, decay_s, samples, sr)
        if bloom_s:
            hit *= 0.3 + 0.7 * ramp(np.arange(samples) / (bloom_s * sr))
        hit += thump * _burst(take, 60, 400, 0.015, samples, sr)
        return hit + tap * hardness * _burst(take, low_hz / 2, high_hz, 0.004, samples, sr)

    return strike


def _tom(rng, sr, machine, low_hz):
    fall, fall_s, decay_s = (
        rng.uniform(0.05, 1.0),
        rng.uniform(0.015, 0.08),
        np.exp(rng.uniform(np.log(0.06), np.log(0.4))),
    )
    second, second_level = rng.uniform(1.45, 1.7), rng.uniform(0, 0.5)
    stick, noise, drive = (
        rng.uniform(0, 0.6),
        rng.uniform(0, 0.1 if machine else 0.35),
        rng.uniform(0.3, 1.5),
    )
    noise_s, noise_hz = rng.uniform(0.02, 0.15), rng.uniform(1500, 8000)

    def strike(take, hardness):
        samples = round(min(5 * decay_s + 0.05, 1.2) * sr)
        hit = _skin(low_hz, fall * hardness, fall_s, decay_s, samples, sr)
        hit += second_level * _skin(
            second * low_hz, fall * hardness, fall_s, decay_s / 2, samples, sr
        )
        hit += stick * hardness * _burst(take, 900, 7000, 0.006, samples, sr)
        hit += noise * _burst(take, 200, noise_hz, noise_s, samples, sr)
        return np.tanh(drive * hit) / drive

    return strike


def _bell(rng, sr, machine):
    """A cowbell: two tones with odd overtones that belong to no chord; or a block of wood,
    shorter.
    """
    root_hz, ratio, decay_s = (
        rng.uniform(450, 1100),
        rng.uniform(1.35, 1.7),
        rng.uniform(0.03, 0.22),
    )
    odd = np.arange(1, 10, 2) if rng.random() < 0.7 else np.array([1])
    freqs_hz, strengths = np.outer([root_hz, ratio * root_hz], odd).ravel(), np.tile(1.0 / odd, 2)

    def strike(take, hardness):
        samples = round(6 * decay_s * sr)
        hit = partials(freqs_hz, strengths, decay_s, samples, sr)
        return hit + 0.3 * hardness * partials(freqs_hz, strengths, decay_s / 8, samples, sr)

    return strike
