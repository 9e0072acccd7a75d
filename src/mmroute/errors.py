"""The one exception for everything a user can put right."""


class InputError(ValueError):
    """Bad input: a file, a column or a config key that cannot be used as it is.

    The message is one line that names the file, the column or key, the
    offending value and the way out. It is shown to the user without a
    traceback.
    """
