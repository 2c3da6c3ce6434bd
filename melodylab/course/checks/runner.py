"""Checks for the exercises of the notebooks: an answer goes in, a sentence comes out, nothing is
graded or sent anywhere.

Conventions: a check is called with the student's answer first and whatever it is measured
against after it. An empty answer (`...` or None, also as a part of a tuple, list or dict) gets
a friendly line and returns None; a wrong one a hint and False; a right one a word on why it is
right and True. A check never raises on account of an answer: what the answer raises (a function
that fails, an array of another shape) becomes the hint. `CHECKS` holds every check as
"NN_notebook.name".

To add one, write a function that returns (right, sentence) below its notebook's heading and put
`@_exercise("NN_notebook")` above it. The solution and two wrong answers of each live in
tests/test_checks.py.
"""

import functools

CHECKS = {}


def _exercise(notebook):
    """Turn a function (answer, ...) -> (right, sentence) into a check, and enter it into CHECKS."""

    def wrap(judge):
        @functools.wraps(judge)
        def check(answer, *measured_against, **options):
            if _is_empty(answer):
                print("Your turn: put your answer in place of the dots, then run this cell again.")
                return None
            try:
                right, sentence = judge(answer, *measured_against, **options)
            except _EmptyAnswer:
                print(
                    "Your turn: your function returns nothing yet. Fill it in, then run this "
                    "cell again."
                )
                return None
            except (
                Exception
            ) as error:  # whatever it trips over: a sentence helps, a traceback of ours does not
                right, sentence = (
                    False,
                    f"this answer stops with {type(error).__name__}: "
                    f"{' '.join(str(error).split())}",
                )
            print(f"{'✓ Right:' if right else '✗ Not yet:'} {sentence}")
            return bool(right)

        name = f"{notebook}.{judge.__name__}"
        if name in CHECKS:
            raise ValueError(f"there are two checks {name}")
        CHECKS[name] = check
        return check

    return wrap


class _EmptyAnswer(Exception):
    """Raised by `_result` where a function that is the answer has not been written yet."""


def _is_empty(answer):
    if isinstance(answer, dict):
        return any(_is_empty(part) for part in answer.values())
    if isinstance(answer, (tuple, list)):
        return any(_is_empty(part) for part in answer)
    return answer is None or answer is ...


def _result(function, *arguments, **options):
    """What the answer, a function, returns; an empty result counts as an empty answer."""
    value = function(*arguments, **options)
    if _is_empty(value):
        raise _EmptyAnswer
    return value
