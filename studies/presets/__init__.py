"""Presets: TOML files with the fields of `hpo.config.StudyConfig`; copy one, edit it, and give it to --preset."""
