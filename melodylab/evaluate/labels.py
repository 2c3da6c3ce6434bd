"""What others call the drums: one name for each of ours."""

import re

_DRUMS = {  # what a label becomes without case, blanks and signs
    "kick": "k kd kik bd bass bassdrum kickdrum 35 36",
    "snare": "s sd sn sdb sdd sdf sdg sdns snaredrum rimshot 38 40",
    "open_hihat": "oh ohh hho hoh 46",
    "closed_hihat": "ch chh hhc hch phh hhp 42 44",
    "hihat": "h hh hat hats",
    "toms": "t tt tom toms hit mht hft lft ft ht mt lt 41 43 45 47 48 50",
    "": "cy ot rd rdc rdb cr crc chc spc cc rc sst tmb cb cl 37 39 49 51 52 53 54 55 56 57 58 59",
}
_NAMES = {name: drum for drum, names in _DRUMS.items() for name in names.split()}
_WORDS = {  # the first that is found in such a label
    "sidestick": "",
    "cymbal": "",
    "crash": "",
    "ride": "",
    "splash": "",
    "china": "",
    "cowbell": "",
    "clap": "",
    "tambourine": "",
    "shaker": "",
    "kick": "kick",
    "bassdrum": "kick",
    "snare": "snare",
}


def drum_class(label: str) -> str | None:
    """Our name of a drum, from General MIDI's, MDB Drums' or another usual one, in any case.

    Parameters
    ----------
    label : str
        Such as "Kick", "BD", "hi-hat closed", "Acoustic Snare", "Low-Mid Tom", "HH" or "36".

    Returns
    -------
    str or None
        "kick", "snare", "open_hihat", "closed_hihat", "toms"; "hihat" where it is not told which;
        "" for a cymbal or another drum that has no class here; None for a label that nobody knows.
    """
    plain = re.sub(r"[^a-z0-9]", "", label.lower())
    if plain in _NAMES:
        return _NAMES[plain]
    if "hihat" in plain or plain.endswith("hat") or plain.startswith("hat"):
        kinds = {
            "open": "open",
            "half": "open",
            "clos": "closed",
            "pedal": "closed",
            "foot": "closed",
        }
        kind = next((kind for word, kind in kinds.items() if word in plain), None)
        return f"{kind}_hihat" if kind else "hihat"
    if re.search(r"(^|[^a-z]|floor|high|hi|low|lo|mid|rack)tom(s|[^a-z]|$)", label.lower()):
        return "toms"
    return next((drum for word, drum in _WORDS.items() if word in plain), None)
