"""Source-filter NMF: a song as a sung source, seen through a smooth filter, over an accompaniment.

    V_hat = (W_F0 H_F0) * (W_gamma H_gamma H_phi) + W_B H_B       V = |STFT|^2, * element by element
             source        filter                   accompaniment

W_F0 holds one harmonic comb per pitch and W_gamma overlapping smooth bands; both are built, never
learned. The other five matrices are estimated from one song by multiplicative updates that lower
the Itakura-Saito divergence. Row k of H_F0 says when pitch k sounds: that is the salience, and
notebook 02_source_filter_nmf walks through it.

Shapes, as letters: B songs, C channels, F frequencies, N frames, U pitches, P bands, K filters, R
accompaniment parts. Power spectra are (B, C, F, N). A channel c hears the lead with gain alpha_c
and part r with beta_cr (one channel: both 1). Sources: Durrieu, Richard, David and Fevotte 2010;
Durrieu, David and Richard 2011; parameters of Basaran, Essid and Peeters 2018.
"""

from melodylab.sfnmf.dictionaries import (
    PUBLISHED,
    Settings,
    partial_amplitudes,
    smooth_filters,
    source_dictionary,
)
from melodylab.sfnmf.factors import Factors, random_start
from melodylab.sfnmf.song import (
    LED,
    Hearing,
    analyse,
    block_frames,
    block_weights,
    lead_share,
    near_melody,
    peak_gain,
    salience,
    working_signal,
)
from melodylab.sfnmf.updates import factorise, factorise_batch

__all__ = [
    "Factors",
    "Hearing",
    "LED",
    "PUBLISHED",
    "Settings",
    "analyse",
    "block_frames",
    "block_weights",
    "factorise",
    "factorise_batch",
    "lead_share",
    "near_melody",
    "partial_amplitudes",
    "peak_gain",
    "random_start",
    "salience",
    "smooth_filters",
    "source_dictionary",
    "working_signal",
]
