"""What can be done with a study, from Python as from the command line. Nothing here prints.

All is silent but for the logger "hpo", unless `progress=True` is given, which shows what the commands show.

What makes final models, tables, plots and reports is imported where it is called: scikit-learn, Matplotlib and Plotly
take seconds, which a search's first worker need not wait for.
"""

import functools
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import optuna

from datasets.catalogue import DATASETS
from datasets.registry import safe_name
from datasets.subset import base_name
from datasets.wording import counted
from hpo.config import MOST_SEEDS, StudyConfig, check_field, restore_config
from hpo.errors import BadField, BadInput
from hpo.search import mapping
from hpo.search.network import as_built, remarks
from hpo.search.parts import REAL, Parts
from hpo.search.run import run_search
from hpo.terminal.watching import Progress, watching
from hpo.worker.facts import searched_resolutions
from models.backbones import get_backbone
from models.export.formats import DEPLOYED, FORMATS
from models.own.backbone import allow
from studies import storage as database
from studies.attributes import OPTIONS
from studies.fingerprint import fingerprint_of
from studies.pareto import front
from studies.paths import check_writable, map_of, study_files
from studies.probes import map_of as found_map
from studies.quiet import quiet_optuna
from studies.records import CompleteTrial, TrialRecord, read_study
from studies.rules import RULES
from studies.transfer import read_contents, write_contents

if TYPE_CHECKING:
    import pandas
    import plotly.graph_objects as go

    from hpo.final.models import FinalModels
    from hpo.reporting.comparing import Comparison
    from hpo.reporting.files import ReportFiles
    from hpo.reporting.mapped import Mapped
    from studies.forms import Form


class Study:
    """A study: its trials, its Pareto front, and what can be made of them.

    Made by `run_study` and `load_study`.

    Attributes:
        name: of the study.
        optuna: the plain `optuna.Study`, for Optuna's own plots and analyses.
        storage: the database that it is in.
        out: the folder of results.
        files: the study's own files in it.
        places: options that stand in for those that it was run with.
    """

    def __init__(self, study: optuna.Study, storage: str, out: Path, places: Mapping[str, Any]):
        self.name, self.optuna, self.out = study.study_name, study, out
        self.files = study_files(out, study.study_name)
        self.storage, self.places = storage, {**places, "storage": storage, "out": out}

    def __repr__(self) -> str:
        records = self.records
        ended = sum(record.counts for record in records)
        return f"Study({self.name!r}, {counted(ended, 'trial')}, {len(front(records))} on the front)"

    @functools.cached_property
    def config(self) -> StudyConfig:
        """What the study was run with, and where its data lies now.

        Raises:
            BadInput: it was made by a version that did not keep it, or its data is not here.
        """
        return restore_config(self.optuna.user_attrs.get(OPTIONS), self.name, self.places)

    @property
    def records(self) -> list[TrialRecord]:
        """Every trial as it stands in the database, in the order of their numbers."""
        with database.storage_trouble(self.storage):
            return read_study(self.optuna)

    @property
    def front(self) -> list[CompleteTrial]:
        """The completed trials that no other one dominates, the most accurate first."""
        return sorted(front(self.records), key=lambda record: -record.val_accuracy)

    @property
    def best(self) -> CompleteTrial:
        """The most accurate completed trial; of equally accurate ones the faster.

        Raises:
            BadInput: no trial is complete.
        """
        members = self.front
        if not members:
            raise BadInput(f"study {self.name} has no complete trial")
        return members[0]

    def to_pandas(self) -> "pandas.DataFrame":
        """Every trial as a row: what was decided, what came out, and why there is no result.

        Raises:
            PackageMissing: pandas is not installed.
        """
        from hpo.reporting.notebook import to_frame

        return to_frame(self.records)

    def plot(self, against: str = "latency") -> "go.Figure":
        """The Pareto front as a Plotly figure: validation accuracy against a cost.

        Args:
            against: "latency" or "flops".

        Raises:
            BadInput: another cost is named.
        """
        from hpo.reporting.notebook import draw

        return draw(self.name, self.records, against)

    def _repr_html_(self) -> str:
        """In a notebook a study shows its front, as a table and as a figure."""
        from hpo.reporting.notebook import to_html

        return to_html(self.name, self.records)

    def evaluate(
        self,
        pick: str = "front",
        trials: Sequence[int] | int | str | None = None,
        seeds: int = 3,
        progress: Progress = False,
        runtimes: Sequence[str] | str = (),
        allow_overlap: bool = False,
    ) -> "FinalModels":
        """Give the chosen models their final training, and test each once.

        They are trained on training and validation pictures together. The frozen pretrained baseline is among them.
        The same call again continues; finished runs are not repeated.

        Args:
            pick: "front", or "few" for its two ends and the recommended one.
            trials: number or numbers of trials to take instead.
            seeds: training runs of each model.
            progress: show what is being done.
            runtimes: forms in which each model is exported, tested and measured too: litert, litert-int8, onnx, as a
                list or separated by commas; see `FinalModels.forms`.
            allow_overlap: also where more than one in a hundred test pictures are among those to train on.

        Returns:
            The models, from the most to the least accurate on the test pictures.

        Raises:
            BadInput: there is nothing to evaluate, or the data or weights are not those of the search.
            WorkerLost, TaskFailed: before the first run; runs that fail later are in `FinalModels.failures`.
        """
        from hpo.final.evaluation import evaluate
        from hpo.final.exporting import check_formats
        from hpo.final.models import FinalModels

        if pick not in ("front", "few"):
            raise BadField("pick", f"must be front or few. Received: {pick}")
        if type(seeds) is not int or not 1 <= seeds <= MOST_SEEDS:
            raise BadField("seeds", f"must be an integer from 1 to {MOST_SEEDS}. Received: {seeds}")
        given = [name.strip() for name in runtimes.split(",")] if isinstance(runtimes, str) else runtimes
        names = check_formats(given, DEPLOYED, "runtimes")
        named = ",".join(map(str, trials)) if isinstance(trials, Sequence) and not isinstance(trials, str) else trials
        with working(self.storage), watching(progress) as watcher:
            check_writable(self.config.out, self.config.cache_dir)
            chosen = None if named is None else str(named)
            result = evaluate(self.config, self.optuna, pick, chosen, seeds, names, allow_overlap, watcher)
        return FinalModels(
            self.name, self.files, self.convert, result.models, result.failures, device=self.config.device
        )

    def models(self, device: str | None = None) -> "FinalModels":
        """The models that `evaluate` left, from the most to the least accurate on the test pictures.

        Args:
            device: that predicts: auto, cpu, gpu or gpu:N; default the one given to `load_study`, else auto.

        Raises:
            BadInput: there are none, or there is no such device.
        """
        from hpo.final.models import FinalModels
        from hpo.final.prediction import models_of

        device = check_field("device", device or self.places.get("device"))
        with database.storage_trouble(self.storage):
            models = models_of(self.optuna, self.files)
        return FinalModels(self.name, self.files, self.convert, models, device=device)

    def convert(self, label: str, names: Sequence[str], progress: Progress = False) -> "tuple[list[Form], Path]":
        """A final model for other runtimes, see `Model.export`.

        Args:
            label: a trial's number, or baseline.
            names: of the formats.
            progress: show what is being done.

        Returns:
            The numbers of the original and of each format, and the folder of the files.

        Raises:
            BadInput: the model was not evaluated, the pictures are not those of the study, there is no such format, or
                what it needs is not installed.
            WorkerLost, TaskFailed: one fails; those before it are kept.
        """
        from hpo.final.exporting import check_formats, convert_all

        names = check_formats(names, tuple(FORMATS), "format")
        with working(self.storage), watching(progress) as watcher:
            check_writable(self.config.out, self.config.cache_dir)
            return convert_all(self.optuna, self.config, label, names, watcher)

    def export(self) -> list[Path]:
        """Write trials and front as CSV and JSON, and the Pareto plots as pages and pictures; returns the paths."""
        from hpo.reporting.tables_and_plots import write_study

        check_writable(self.out)
        return write_study(self.name, self.records, self.files.folder, found_map(self.optuna))

    def report(
        self,
        pdf: bool = False,
        figures: bool = True,
        pictures: bool = True,
        progress: Progress = False,
        recommend: str | None = None,
    ) -> Path:
        """Write the report: a page that needs no network, with its tables and figures as files.

        Args:
            pdf: also the page as report.pdf; needs Chromium or Chrome.
            figures: each figure as a file; needs Chromium or Chrome, and kaleido.
            pictures: of the data, Grad-CAM and saliency.
            progress: show what is being done.
            recommend: the rule that recommends a trial, "best", "one-se" or "knee"; default best with a budget, else
                one-se (see `studies.recommendation`).

        Returns:
            The path of the page. What could not be made is shown with `progress`, and logged.
        """
        files = report_studies([self], pdf, figures, pictures, progress, recommend)
        with watching(progress) as watcher:
            for line in files.missing:
                watcher.note(f"left out: {line}")
        return files.page


def run_study(
    config: StudyConfig, progress: Progress = False, parts: Parts | None = None, adopt: bool = False
) -> Study:
    """Search until the study has `config.trials` trials; the same call again continues.

    Args:
        config: what is searched, and how long.
        progress: show what is being done.
        parts: stand in for those of the search, for tests.
        adopt: the study's database is lost; make a new study of what its trials left in the folder of results.

    Returns:
        The study.

    Raises:
        BadInput, DataError, ModelError, StudyRefused: the user's to mend, before the first trial.
        StorageError: the database cannot be opened or written to.
        StudyStopped: three failures of one kind in a row.
    """
    check_writable(config.out, config.cache_dir)
    built = as_built(config)
    with quiet_optuna(), watching(progress) as display:
        for remark in remarks(config, built):
            display.note(f"note: {remark}")
        run_search(built, display, parts or REAL, adopt)
    places = {name: getattr(config, name) for name in ("cache_dir", "data_dir", "device")}
    return load_study(config.study_name, storage=config.storage, out=config.out, **places)


def map_networks(configs: Sequence[StudyConfig], progress: Progress = False) -> "Mapped":
    """Probe every place where networks may end, at each side, before any training; the same call again continues.

    Args:
        configs: one for each backbone, on one data set.
        progress: show what is being done.

    Raises:
        BadInput, DataError, ModelError: the user's to mend.
        WorkerLost, TaskFailed: a side cannot be probed; those before it are kept.
    """
    from hpo.reporting.mapped import Mapped, write_maps

    check_writable(configs[0].out, configs[0].cache_dir)
    check_one_size(configs)
    with watching(progress) as watcher:
        built = [as_built(config) for config in configs]
        for config, one in zip(configs, built, strict=True):
            for remark in remarks(config, one):
                watcher.note(f"note: {remark}")
        maps = mapping.map_networks(built, watcher)
    folder = map_of(configs[0].out, safe_name(configs[0].dataset))
    return Mapped(maps, folder, write_maps(maps, folder))


def load_study(
    name: str,
    *,
    storage: str | None = None,
    out: Path | str | None = None,
    cache_dir: Path | str | None = None,
    data_dir: Path | str | None = None,
    device: str | None = None,
    follow_links: bool | None = None,
    backbone: Any = None,
    hypermodel: Any = None,
) -> Study:
    """A study that was run before.

    Args:
        name: of the study, such as "custom_cnn-digits".
        storage: database of all studies, `sqlite:///FILE` or `postgresql://USER@HOST/DATABASE`; default
            sqlite:///studies.db.
        out: folder of results; default where the study was run to put them. So are the next three.
        cache_dir: folder for stored features, decoded pictures and measured latencies.
        data_dir: folder with <name>.npz files.
        device: auto, cpu, gpu or gpu:N.
        follow_links: also those that lead out of a folder of pictures.
        backbone: where the study is of a network of your own, to go on with it: the network, or its code as
            `--backbone` names it. What the study left can be read without.
        hypermodel: the same of a HyperModel: an instance, or its code.

    Raises:
        BadInput: an argument is wrong.
        StudyRefused: there is no such study; the message names those that there are.
        StorageError: the database cannot be read.
    """
    url = check_field("storage", storage)
    given = {"cache_dir": cache_dir, "data_dir": data_dir, "device": device, "follow_links": follow_links}
    places = {key: check_field(key, value) for key, value in given.items() if value is not None}
    if backbone is not None and hypermodel is not None:
        raise BadField("hypermodel", f"takes the place of backbone. Received: both, backbone {backbone}")
    with quiet_optuna(), database.storage_trouble(url):
        study = database.load_study(url, name)
    if hypermodel is not None and not fingerprint_of(study).is_hypermodel:
        raise BadField(
            "hypermodel", f"is of a study of one; {name} is of the backbone {fingerprint_of(study).backbone}"
        )
    own = backbone if hypermodel is None else hypermodel
    if own is not None and (source := fingerprint_of(study).source):
        allow(fingerprint_of(study).backbone, source, own, fingerprint_of(study).is_hypermodel)
    if out is None:  # as the study was run
        out = (study.user_attrs.get(OPTIONS) or {}).get("out", StudyConfig.model_fields["out"].default)
    return Study(study, url, check_field("out", out), places)


def transfer_studies(source: str, target: str, names: Sequence[str] = ()) -> Iterator[tuple[str, int]]:
    """Copy studies from one database to another, with everything that hangs on them; files stay where they are.

    Args:
        source: the database that they are in.
        target: the database that they are copied to.
        names: of studies; all that there are for none.

    Yields:
        The name of a study that was copied, and the number of its trials.

    Raises:
        BadInput: both are one database.
        StudyRefused: there is no such study, it is in use, or the target has one of its name.
        StorageError: a database cannot be used.
    """
    source, target = (check_field("storage", url) for url in (source, target))
    if database.same(source, target):
        raise BadField("to", f"must be another database. Received: {target}")
    with quiet_optuna():
        opened = database.open_storage(source, write=False), database.open_storage(target, write=True)
        try:
            with database.storage_trouble(source):
                there = database.our_studies(opened[0])
            for name in names or there:
                if name not in there:
                    database.load_study(source, name)  # says what is wrong with it
                with database.source_lock(source, name), database.database_lock(target, name):
                    with database.storage_trouble(source):
                        contents = read_contents(opened[0], name)
                    with database.storage_trouble(target):
                        write_contents(contents, opened[1])
                yield name, len(contents.trials)
        finally:
            for each in opened:
                each.engine.dispose()


def compare_studies(
    studies: Sequence[Study | str], *, storage: str | None = None, out: Path | str | None = None
) -> "Comparison":
    """Studies on the same pictures side by side: baselines, best customised and best from scratch, and a joint front.

    Evaluated studies are also compared on the test pictures, model by model.

    Args:
        studies: studies, or names of studies in `storage`.
        storage: database of all studies.
        out: folder of results, where table and pictures are written; default runs.

    Raises:
        BadInput: nothing is complete.
        NotComparable: the studies are on other pictures, or were measured on another device.
    """
    from hpo.reporting.comparing import compare
    from hpo.reporting.gathering import gather

    if isinstance(studies, str):
        studies = [studies]
    if not studies:
        raise BadField("studies", "must name at least one study. Received: none")
    loaded = [study if isinstance(study, Study) else load_study(study, storage=storage, out=out) for study in studies]
    unique = list({(study.storage, study.name): study for study in loaded}.values())
    if len({study.name for study in unique}) < len(unique):
        raise BadInput("studies of one name cannot be told apart in a comparison; give them different names")
    folder = check_field("out", out)
    check_writable(folder)
    gathered = []
    for study in unique:
        with database.storage_trouble(study.storage):
            gathered.append(gather(study.optuna, study.files.folder))
    return compare(gathered, folder)


def report_studies(
    studies: Sequence[Study],
    pdf: bool = False,
    figures: bool = True,
    pictures: bool = True,
    progress: Progress = False,
    recommend: str | None = None,
) -> "ReportFiles":
    """The report of one study, or of several on the same pictures: then their comparison first.

    Figures and Grad-CAM are put into the studies too, for the dashboard.

    Args:
        studies: all in one database and one folder of results.
        pdf: also the page as report.pdf; needs Chromium or Chrome.
        figures: each figure as a file; needs Chromium or Chrome, and kaleido.
        pictures: of the data, Grad-CAM and saliency.
        progress: show what is being done.
        recommend: as `Study.report`.

    Returns:
        What was written, and what could not be and why.

    Raises:
        NotComparable: the studies are on other pictures, or were measured on another device.
    """
    from hpo.reporting.assemble import report

    if recommend is not None and recommend not in RULES:
        raise BadField("recommend", f"must be one of {', '.join(RULES)}. Received: {recommend}")
    first = studies[0]
    check_writable(first.out)
    with working(first.storage), watching(progress) as watcher:
        loaded = [study.optuna for study in studies]
        return report(
            loaded,
            first.out,
            first.places,
            pdf=pdf,
            figures=figures,
            pictures=pictures,
            rule=recommend or "",
            watcher=watcher,
        )


def check_one_size(configs: Sequence[StudyConfig]) -> None:
    """Make sure that studies of several backbones see the same pictures.

    Raises:
        BadInput: the digest of a folder's pictures would be taken at different sides, and they could not be compared.
    """
    if len(configs) < 2 or base_name(configs[0].dataset) in DATASETS:
        return  # pictures of the catalogue keep their own size
    if own := [one.backbone for one in configs if get_backbone(one.backbone).is_own and not one.resolutions]:
        raise BadField(
            "resolutions",
            f"must be given where {own[0]}, a network of your own, is one of several on a folder, whose pictures are "
            "told apart at the largest side. Received: none",
        )
    sides = {config.backbone: (config.resolutions or searched_resolutions(config))[-1] for config in configs}
    if len(set(sides.values())) > 1:
        text = ", ".join(f"{side} px for {name}" for name, side in sides.items())
        raise BadField(
            "resolutions",
            "must be given for several backbones on a folder, whose pictures are told apart at the largest "
            f"side: by default that is {text}, and studies on pictures of different sizes cannot be compared",
        )


def serve_dashboard(
    storage: str | None = None,
    out: Path | str | None = None,
    port: int = 8080,
    live: bool = False,
    allow_changes: bool = False,
    on_ready: Callable[[str], None] = lambda text: None,
) -> None:
    """Open optuna-dashboard on the database at http://127.0.0.1:PORT, until the process is interrupted.

    Args:
        storage: database of all studies; default sqlite:///studies.db.
        out: folder of results; default runs.
        port: to listen on, of this machine alone.
        live: show the database itself instead of a copy, for reading.
        allow_changes: then for changes too; what is deleted there is gone.
        on_ready: told in one line where it is, with the token that a browser needs.

    Raises:
        BadInput: the port is taken, or an argument is wrong.
        StudyRefused, StorageError: there is no database, or it is damaged.
    """
    from hpo.reporting.dashboard import serve

    with quiet_optuna():
        where = check_field("storage", storage), check_field("out", out)
        serve(*where, port, live, allow_changes, on_ready)


@contextmanager
def working(storage: str) -> Iterator[None]:
    """Without Optuna's lines; trouble with the database is one StorageError."""
    with quiet_optuna(), database.storage_trouble(storage):
        yield
