"""Mistakes of the user's, and how they are told in one line."""

from pydantic import ValidationError


class BadInput(ValueError):
    """A user's mistake; the message is one line that names the field, what was received and what is allowed."""


# By pydantic's type of an error; what is in braces is its context.
SAID = {
    "greater_than_equal": "must be at least {ge}",
    "less_than_equal": "must be at most {le}",
    "greater_than": "must be above {gt}",
    "int_parsing": "must be an integer",
    "int_type": "must be an integer",
    "int_from_float": "must be an integer",
    "int_parsing_size": "must be an integer of sensible size",
    "float_parsing": "must be a number",
    "float_type": "must be a number",
    "finite_number": "must be finite",
    "literal_error": "must be one of {expected}",
    "string_type": "must be a text",
    "too_short": "must name at least one",
    "bool_parsing": "must be true or false",
    "bool_type": "must be true or false",
}


def explain_field(error: ValidationError) -> str:
    """The first wrong field of a configuration in one line: its option, what is allowed, what was received."""
    first = error.errors()[0]
    name = "--" + str(first["loc"][0]).replace("_", "-") if first["loc"] else ""
    context, said = first.get("ctx", {}), SAID.get(first["type"])
    text = said.format(**context) if said else str(context.get("error") or first["msg"])
    if "Received" not in text:
        text = f"{text}. Received: {str(first['input'])[:200]}"
    return text if text.startswith("--") else f"{name} {text}"
