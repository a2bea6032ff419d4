"""The terminal: what all commands share, live views, tables and hints."""
