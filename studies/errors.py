"""Why a study or its database cannot be used."""


class StorageError(RuntimeError):
    """The database cannot be opened, read or written; the message is one line."""


class StudyRefused(ValueError):
    """The study cannot be used as asked: in use, missing, or made with other settings; the message is one line."""
