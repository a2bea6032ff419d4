"""The names under which a study and its trials keep what is not a value of an objective: as user attributes."""

# of a study
STUDY_ID = "study_id"
FINGERPRINT = "fingerprint"
OPTIONS = "options"  # of the last run, for what comes after the search
LATENCIES = "latencies"  # measured again at the end
MAP = "map"  # the probes, see `studies.probes`
FINAL = "final"  # the table of the final evaluation

# of a trial
CANDIDATE = "candidate"
ARCHITECTURE = "architecture"
MEASUREMENT = "measurement"
TRAINABLE_PARAMETERS = "trainable_parameters"
BEST_EPOCH = "best_epoch"
LEARNING_CURVE = "learning_curve"
SECONDS = "seconds"
PEAK_MEMORY = "peak_memory_mib"
SEED = "seed"
MACHINE = "machine"
PLAN = "plan"
VAL_RIGHT = "val_right"  # which validation pictures are right, see `studies.answers`
FAILURE = "failure"  # kind and reason
STOPPED = "stopped"  # why, at a rung or where it diverged
DUPLICATE_OF = "duplicate_of"  # the number of the trial with the same candidate
RETRY_OF = "retry_of"  # the number of the trial whose candidate is tried again
