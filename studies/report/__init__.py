"""The report of studies: what it says (`chapters`), how it is drawn (`charts`), the one file it becomes (`page`)."""
