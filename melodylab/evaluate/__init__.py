"""How good is a melody, a separation, a list of hits? Scores for one result, tables for a folder.

Conventions
- Truth and estimate go by name, `reference=` and `estimate=`, so that a swap cannot go unseen;
  `score_melody(estimate, reference)` alone takes them by place, too.
- The reference's times rule: mir_eval brings the estimate to them (pitch linearly in cents, voicing
  from the last frame).
- A pitch is right if it lies less than 50 cents from the reference; exactly 50 is wrong.
- Voiced means `voicing >= 0.5`. A guess in a frame called unvoiced still counts for RPA and RCA,
  which ask for pitch alone. Systems that write 0 there cannot score RPA above VR, so do not compare
  RPA and RCA across the two kinds (trap T18).
- Every frame must be there. What a reference leaves out counts as unvoiced. A gap in an estimate is
  bridged as if it were sung, and an estimate that ends early is held to the end of the reference.
  Each gives a warning.
- Shares are floats in 0..1, ratios in dB. A share of nothing is NaN, not 0 or 1: pitch of a
  reference without voice, false alarms of one without pauses, any ratio to a silent reference.
  Means in tables leave NaN out. Silence where a source should be scores -inf dB.
- Nobody's arrays are changed.

Melody: Salamon et al. 2014, "Melody extraction from polyphonic music signals". SDR: Vincent et al.
2012 (BSS Eval 3). SI-SDR: Le Roux et al. 2019, "SDR - half-baked or well done?".
"""

from melodylab.evaluate.comparison import Comparison, compare
from melodylab.evaluate.drums import hit_errors, onset_f_measure
from melodylab.evaluate.labels import drum_class
from melodylab.evaluate.melody import frame_errors, other_thresholds, pitch_errors, score_melody
from melodylab.evaluate.separation import (
    FILTER_TAPS,
    SEPARATION_S,
    SEPARATION_SR,
    bss_eval_sdr,
    separation_excerpt,
    si_sdr,
)
from melodylab.evaluate.songs import TRUE_MELODY, TRUE_ONSETS
from melodylab.evaluate.tables import Table, cluster, evaluate_folder

__all__ = [
    "Comparison",
    "FILTER_TAPS",
    "SEPARATION_S",
    "SEPARATION_SR",
    "TRUE_MELODY",
    "TRUE_ONSETS",
    "Table",
    "bss_eval_sdr",
    "cluster",
    "compare",
    "drum_class",
    "evaluate_folder",
    "frame_errors",
    "hit_errors",
    "onset_f_measure",
    "other_thresholds",
    "pitch_errors",
    "score_melody",
    "separation_excerpt",
    "si_sdr",
]
