"""The one registry: every method by name, with what it is in one line."""

from melodylab import weights

_LINES = {
    "sfnmf": "source-filter NMF (Durrieu 2011, parameters of Basaran 2018): learns from the song alone",
    "pyin": "pYIN through librosa: for one voice without accompaniment, the baseline",
    "sf-crnn-1": "convolutions and a GRU on the salience of source-filter NMF (Basaran 2018): small and quick",
    "sf-crnn-2": "the same with more convolutions, on every bin (Basaran 2018)",
    "cqt-crnn-1": "sf-crnn-1 on a plain constant-Q transform: what the NMF salience is worth to a small network",
    "cqt-crnn-2": "sf-crnn-2 on a plain constant-Q transform: what the NMF salience is worth (Basaran 2018)",
    "sf-cnn": "sf-crnn-2 without its GRU: what the memory is worth (Basaran 2018)",
    "deep-salience": "convolutions alone on a harmonic constant-Q transform (Deep Salience, Bittner 2017)",
    "ftanet": "attention over frequency and over time on spectrum and cepstrum (FTANet, Yu 2021)",
    "ftanet-thin": "FTANet with half the channels, for weak machines",
    "ftanet-no-frequency": "FTANet without its attention over frequency",
    "ftanet-no-temporal": "FTANet without its attention over time",
    "ftanet-no-fusion": "FTANet with its three maps simply added",
    "ftanet-no-detection": "FTANet without its branch for 'no melody'",
    "segnet": "pooling that remembers its places, on spectrum and cepstrum (SegNet, Hsieh 2019)",
    "harmonic-crnn": "our own: stacked harmonics, a U-Net over frequency, a GRU, pitch and voicing apart",
    "multires": "learned filter banks of two lengths on the waveform, Inception blocks (Chen 2019)",
    "multires-short": "the same with kernels of 64 samples alone",
    "multires-long": "the same with kernels of 960 samples alone",
    "multires-no-pretraining": "multires trained at once, its kernels in the order that the dice gave",
    "multires-1d": "one-dimensional convolutions alone: the pre-training of multires (Chen 2019)",
}


def _methods():
    """A network is a method as soon as its weights are there."""
    there = {"sfnmf", "pyin", *weights.names()}
    best = {"best": f"the network of ours that scored best on real songs: {weights.BEST}"}
    return best | {name: line for name, line in _LINES.items() if name in there}


METHODS = _methods()
DRUM_METHODS = {
    "drum-cnn": "a convolutional network that finds hits, then NMF led by them (Koretzky 2021)"
}
TRAINED_SEPARATORS = {
    "unet": "U-Net with a bounded mask, a gate for songs without melody, and a melody to follow if there is one",
    "unet-mel": "U-Net on a mel spectrogram as the report wrote it: a mask without bound or gate",
}
SEPARATION_METHODS = {"sfnmf": "source-filter NMF led by a melody, Wiener filtering"} | {
    name: line for name, line in TRAINED_SEPARATORS.items() if name in weights.names()
}
