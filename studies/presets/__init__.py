"""Settings of a study that suit a purpose, as TOML files."""

import tomllib
from pathlib import Path
from typing import Any

PRESETS = ("quick", "standard", "thorough")
PRESETS_DIR = Path(__file__).parent


def read_preset(name: str) -> dict[str, Any]:
    """What a preset says: one of `PRESETS`, or a TOML file of the user's. Fields may be spelled as options are.

    Raises:
        ValueError: there is no such preset, or it cannot be read.
    """
    path = PRESETS_DIR / f"{name}.toml" if name in PRESETS else Path(name)
    if not path.is_file():
        raise ValueError(f"must be {', '.join(PRESETS)}, or a TOML file. Received: {name}")
    try:
        values = tomllib.loads(path.read_text(encoding="utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError, OSError, RecursionError) as error:
        raise ValueError(f"{name} cannot be read: {error}") from error
    return {key.replace("-", "_"): value for key, value in values.items()}
