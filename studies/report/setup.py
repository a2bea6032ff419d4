"""The section on what was searched, and how: data, space, budget, machine."""

from studies.fingerprint import KERAS, Fingerprint
from studies.report import charts, model_tables
from studies.report.blocks import Block, Chart, Facts, Pictures, Section, Text
from studies.report.gallery import Gallery
from studies.report.material import Material
from studies.report.wording import counted, duration, listed


def setup(material: Material, gallery: Gallery) -> Section:
    """What was searched, on which pictures and on which machine."""
    fingerprint = material.fingerprint
    what = "turns the backbone into a classifier in a different way"
    if fingerprint.is_hypermodel:
        what = "builds and trains the HyperModel with other values of its hyperparameters"
    blocks: list[Block] = [
        Text(
            f"Each trial {what} and gets three numbers: validation "
            "accuracy (higher is better), and latency and FLOPs for one picture on this machine (lower is better)."
        ),
        Facts(tuple((name, text) for name, text in _facts(material) if text)),
        model_tables.space_table(dict(fingerprint.space), fingerprint.is_hypermodel),
    ]
    if gallery.counts:
        total = sum(gallery.counts)
        least, most = min(gallery.counts), max(gallery.counts)
        spread = f"{most:,} in each" if least == most else f"from {least:,} to {most:,} in each"
        n_classes = counted(len(gallery.counts), "class", "classes")
        alt = f"Bars of the number of pictures in {n_classes}: {spread}."
        used = f"{fingerprint.train_size:,} of them were used to train on, {fingerprint.val_size:,} to validate on"
        caption = (
            f"Class distribution of the {total:,} pictures that are not test pictures: {spread} of {n_classes}; {used}."
        )
        height = 90 + 26 * min(len(gallery.counts), 30)
        blocks.append(Chart("classes", caption, alt, charts.classes(gallery.class_names, gallery.counts), height))
    if gallery.samples_note:
        blocks.append(Text(gallery.samples_note))
    if gallery.samples:
        blocks.append(Pictures(gallery.samples, 36, 330, True))
    return Section("setup", "What was searched, and how", tuple(blocks))


def _facts(material: Material) -> list[tuple[str, str]]:
    fingerprint, options = material.fingerprint, material.options
    ended = [record for record in material.records if record.counts]
    scratch = fingerprint.from_scratch
    budgets = [f"{fingerprint.max_latency_ms:g} ms latency" if fingerprint.max_latency_ms else ""]
    budgets.append(f"{fingerprint.max_gflops:g} GFLOPs" if fingerprint.max_gflops else "")
    sampler = str(options.get("sampler", ""))
    if sampler == "auto":
        sampler = "planner" if material.map and not options.get("no_map") else "tpe"  # as the search takes it
    return [
        ("HyperModel" if fingerprint.is_hypermodel else "backbone", fingerprint.backbone),
        *([("its code", fingerprint.short_source)] if fingerprint.source else []),
        ("weights", "as its code builds them" if fingerprint.is_hypermodel else "none: trained from scratch" if scratch
                    else f"{material.origin}, SHA-256 {fingerprint.weights[:16]}…"),
        ("data set", f"{fingerprint.dataset}, SHA-256 of its pictures and labels {fingerprint.dataset_digest[:16]}…"),
        ("pictures", f"{fingerprint.train_size:,} to train on, {fingerprint.val_size:,} to validate on"
                     f"{', decoded to the side that each network sees' * bool(fingerprint.decoded)}; "
                     "test pictures kept apart"),
        ("split", f"stratified, seed {fingerprint.seed}, SHA-256 {fingerprint.split[:16]}…"),
        ("trials", f"{len(ended):,}, {duration(sum(r.seconds for r in material.records))} of work in all"),
        ("epochs", f"{fingerprint.epochs:,} at most for each trial"),
        ("early stopping", _stopping(fingerprint)),
        ("sampler", ", ".join(filter(None, (sampler, f"seed {fingerprint.seed}")))),
        ("budget", listed([text for text in budgets if text]) or "none"),
        ("machine", f"{fingerprint.device}; {fingerprint.backend}, {fingerprint.dtype}"),
        ("versions", ", ".join(f"{name} {version}" for name, version in (fingerprint.versions or {}).items())),
        ("latency", _latency(fingerprint)),
    ]  # fmt: skip


def _stopping(fingerprint: Fingerprint) -> str:
    if fingerprint.stopping == "none":
        return "none"
    return f"{fingerprint.stopping}, reduction factor {fingerprint.reduction_factor}"


def _latency(fingerprint: Fingerprint) -> str:
    """What the number is."""
    protocol = f"protocol {fingerprint.latency_protocol or '?'}"
    if fingerprint.latency_runtime == KERAS:
        return f"one compiled call of Keras, batch 1, synchronised, after warm-up; median; {protocol}"
    threads = fingerprint.latency_threads or 1
    of_what = "" if fingerprint.is_hypermodel else "of trunk and head "
    clock = "processor time" if threads == 1 else "wall clock"
    of_round = "the 5th percentile" if fingerprint.latency_protocol == 3 else "the lowest call"
    return (
        f"{fingerprint.latency_runtime}, {threads} thread{'s' if threads > 1 else ''}, batch 1, {clock}; {of_what}"
        f"{of_round} of each round, mean of the three lowest of at least six; {protocol}"
    )
