"""The one exception a user is meant to read: one sentence that says what is wrong, and the next step."""


class InputError(ValueError):
    """What the caller gave cannot be used. Its text is one sentence that names the thing and the next step."""
