"""What training songs are made of."""

from dataclasses import dataclass

from melodylab.errors import InputError


@dataclass(frozen=True)
class Ingredients:
    """What training songs are made of. Booleans switch, shares lie in 0..1.

    Parameters
    ----------
    formant_voice : bool
        Sung leads have moving formants; else a plain saw sings them.
    instrument_leads : float
        Share of songs that an instrument leads: clean or driven guitar, wind, keys.
    clean_guitar : bool
        Among them a low clean guitar.
    second_voice : float
        Share of songs with a softer voice beside the lead; the label stays on the louder.
    riffs : float
        Share of songs where a line in the lead's range plays that is not the lead.
    rests : bool
        Bars without lead, several in a row, while the rest plays on.
    dense_leads : bool
        Most bars have a lead, phrases follow soon, driven guitars play high: as in pop and rock.
    articulation : bool
        Consonants and early ends cut most phrases into short notes, as in speech and on strings.
    clear_instruments : bool
        An instrument that leads is no softer than the rest, and seldom has a riff beside it.
    soft_leads : bool
        Leads from 8 dB below to 8 dB above the rest, as in real mixes; else from 4 below to 9
        above.
    distortion : bool
        Power chords through an overdriven amplifier.
    drums : bool
        A drummer plays.
    detuned : bool
        The whole song up to half a semitone off, as old tapes are.
    processing : bool
        Equaliser, echo, compression, room; hard mixes more than easy ones.
    easy_first : bool
        The first mixes have a loud lead, the last ones a soft one.
    soundfont : float
        Share of backings played by fluidsynth from a General MIDI soundfont, if installed.
    soundfont_leads : float
        Share of the instrument leads played by it, every bend and slide followed.
    """

    formant_voice: bool = True
    instrument_leads: float = 0.3
    clean_guitar: bool = True
    second_voice: float = 0.35
    riffs: float = 0.6
    rests: bool = True
    dense_leads: bool = True
    articulation: bool = True
    clear_instruments: bool = False
    soft_leads: bool = True
    distortion: bool = True
    drums: bool = True
    detuned: bool = True
    processing: bool = True
    easy_first: bool = True
    soundfont: float = 0.0
    soundfont_leads: float = 0.0

    def __post_init__(self):
        for name in ("instrument_leads", "second_voice", "riffs", "soundfont", "soundfont_leads"):
            if not 0 <= getattr(self, name) <= 1:
                raise InputError(
                    f"the ingredient {name} is a share of the songs; give a number from 0 to 1"
                )
