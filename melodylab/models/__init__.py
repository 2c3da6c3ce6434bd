"""The networks by name, untrained, one file per paper; `run` takes them from features to a salience."""

from melodylab.files import InputError

# name -> (file here, class, arguments, front end)
NETWORKS = {
    "sf-crnn-1": ("crnn", "CRNN", {"cnn": "cnn1", "units": 128}, "sf"),
    "sf-crnn-2": ("crnn", "CRNN", {"cnn": "cnn2", "units": 160}, "sf"),
    "cqt-crnn-2": ("crnn", "CRNN", {"cnn": "cnn2", "units": 160}, "cqt"),
    "sf-cnn": ("crnn", "CRNN", {"cnn": "cnn2", "units": 0}, "sf"),
    "deep-salience": ("deep_salience", "DeepSalience", {}, "hcqt"),
}
