"""What can be wrong with a study or its database. Apart from `studies.storage`, which loads SQLAlchemy."""


class StorageError(RuntimeError):
    """The database cannot be opened, read or written; the message is one line."""


class StudyRefused(ValueError):
    """The study cannot be used as asked: in use, missing, or made with other settings; the message is one line."""


class PackageMissing(ImportError):
    """A package that is not always installed is needed; one line that says how to install it."""


class NotWritable(ValueError):
    """A folder cannot be written to; one line that names it and what is allowed."""


class NotComparable(ValueError):
    """Studies on other pictures, or measured on another device; one line that names the fields."""
