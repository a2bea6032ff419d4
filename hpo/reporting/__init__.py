"""What a study leaves to be read: tables, plots, the report."""
