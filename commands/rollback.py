"""Back to an earlier version, without training (`make rollback BAKE=id`)."""

from __future__ import annotations

import argparse
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from commands import deployment
from commands.console import say
from commands.deployed_stage import DeployedStage
from commands.errors import CommandError
from commands.target import Choice, add_target_arguments, choose
from corpus.reader import file_sha256
from stage.bake_inputs import bake_inputs
from stage.bundles import BUILD_DIRECTORY

_SHORTEST_PREFIX = 4


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Which stage, and which version."""
    add_target_arguments(parser)
    parser.add_argument("bake_id", help="its bake id, or the start of it")
    parser.add_argument("--yes", action="store_true", help="deploy without asking")


def run(options: argparse.Namespace) -> int:
    """Deploys the earlier version; returns the exit status of the CDK."""
    target, choice = choose(options)
    earlier = prepare(DeployedStage(choice.settings, target), options.bake_id)
    say(f"Back to bake {earlier.bake_id}; its corpus is in {earlier.corpus}")
    status = deployment.deploy(target, choice_of(choice, earlier), ask=not options.yes)
    if status == 0:
        say(how_to_keep(choice.settings.stage, earlier))
    return status


@dataclass(frozen=True)
class Earlier:
    """A version to go back to: its id, and its corpus.

    corpus: a file; of an index of S3 Vectors, the copy beside it, pinned as `-c corpus=` takes it.
    reuse: the artifact to serve; None for the one that the settings make.
    """

    bake_id: str
    corpus: Path | str
    reuse: str | None


def prepare(stage: DeployedStage, prefix: str) -> Earlier:
    """Checks that the one bake whose id starts with `prefix` can be served, and fetches its corpus.

    Raises CommandError with what is in the way.
    """
    stage.refuse_unless_at_rest()
    bake_id = _find(stage, prefix)
    deployed = stage.deployed()
    if deployed and deployed.bake_id == bake_id:
        raise CommandError(f"The bake {bake_id} is the one that is deployed now.")
    marker = stage.versions.marker(bake_id)
    if marker is None or not stage.versions.has_artifact(marker):
        raise CommandError(
            f"The bake {bake_id} cannot be served: its artifact is gone, or it never finished."
            " To bake its corpus again, deploy that corpus."
        )
    _check_model(stage, marker)
    if stage.settings.search.has_vector_index:
        return _earlier_index(stage, bake_id, marker)
    return Earlier(bake_id, _fetch_corpus(stage, bake_id, marker), reuse=bake_id)


def choice_of(choice: Choice, earlier: Earlier) -> Choice:
    """What the CDK is to deploy: the same settings with the earlier bake and its corpus.

    Raises SettingsError where today's settings refuse that corpus.
    """
    return Choice.read(
        choice.settings.stage,
        corpus=str(earlier.corpus),
        config=choice.context.get("config"),
        reuse=earlier.reuse,
    )


def how_to_keep(stage_name: str, earlier: Earlier) -> str:
    """What to do so that the next deploy does not undo it."""
    if isinstance(earlier.corpus, str):
        uri, _, query = earlier.corpus.partition("?")
        version, sha256 = (part.partition("=")[2] for part in query.split("&"))
        reuse = f'\n\n[bake]\nreuse = "{earlier.reuse}"' if earlier.reuse else ""
        return (
            "The next deploy without these options brings the settings' own corpus back. To make"
            f" this last, name the earlier one in config/{stage_name}.toml:\n\n"
            f'[corpus]\ns3_uri = "{uri}"\nversion_id = "{version}"\nsha256 = "{sha256}"{reuse}'
        )
    return (
        "The next deploy without these options brings the settings' own corpus back. To make this"
        " last, either put the earlier corpus back where the settings point (git revert; no"
        " training either, as long as container code and hyperparameters are the earlier ones"
        f" too), or keep a copy of {_shown(earlier.corpus)} in the repository and name both in"
        f" config/{stage_name}.toml:\n\n"
        f'[corpus]\npath = "…{earlier.corpus.suffix}"\n\n[bake]\nreuse = "{earlier.bake_id}"\n\n'
        "until a deploy is to bake again."
    )


def _find(stage: DeployedStage, prefix: str) -> str:
    known = dict.fromkeys([*(v.bake_id for v in stage.history()), *stage.versions.ids()])
    found = [bake_id for bake_id in known if bake_id.startswith(prefix)]
    if len(prefix) < _SHORTEST_PREFIX or not found:
        listed = ", ".join(each[:12] for each in known) or "none"
        raise CommandError(
            f"No bake of stage {stage.settings.stage} starts with {prefix!r}; give at least"
            f" {_SHORTEST_PREFIX} digits. There are: {listed}."
            if not found
            else f"{prefix!r} is too short: give at least {_SHORTEST_PREFIX} digits of a bake id."
        )
    if len(found) > 1:
        raise CommandError(f"{prefix!r} is the start of several bake ids: {', '.join(found)}.")
    return found[0]


def _check_model(stage: DeployedStage, marker: dict[str, Any]) -> None:
    settings = stage.settings
    model = settings.jumpstart_model
    wanted = {
        "model_id": (model.id, "model.id"),
        "model_version": (model.version, "the version of that model in jumpstart.lock.json"),
        "dimension": (model.dimension, "the dimension of that model in jumpstart.lock.json"),
        "ranking": (settings.search.baked_ranking, "search.ranking"),
    }
    wrong = [
        f"  {place} is {now!r} and was {marker[fact]!r}"
        for fact, (now, place) in wanted.items()
        if fact in marker and marker[fact] != now
    ]
    if wrong:
        raise CommandError(
            f"The bake {marker['bake_id']} was made with other settings. Put them back in"
            f" config/{settings.stage}.toml (git shows the earlier ones), then repeat this:\n"
            + "\n".join(wrong)
        )


def _earlier_index(stage: DeployedStage, index_id: str, marker: dict[str, Any]) -> Earlier:
    """An index is switched to by its id alone, so its corpus is read nowhere."""
    key, version = marker["corpus_key"], marker["corpus_version_id"]
    sha256, artifact = marker["corpus_sha256"], marker["bake_id"]
    corpus = f"s3://{stage.versions.bucket}/{key}?versionId={version}&sha256={sha256}"
    reuse = None if artifact == bake_inputs(stage.settings).bake_id else artifact
    return Earlier(index_id, corpus, reuse)


def _fetch_corpus(stage: DeployedStage, bake_id: str, marker: dict[str, Any]) -> Path:
    """The bake's corpus in a file below .build/, checked."""
    key = stage.bakes.corpus_key(bake_id)
    if key is None:
        raise CommandError(
            f"The bake {bake_id} keeps no corpus: an earlier version of this app made it. If you"
            f" have the file, deploy with: -c reuse={bake_id} -c corpus=FILE"
        )
    file = BUILD_DIRECTORY / "rollback" / bake_id[:12] / Path(key).name
    stage.bakes.download(key, file)
    found = file_sha256(file)
    if marker.get("corpus_sha256", found) != found:
        raise CommandError(
            f"s3://{stage.bakes.bucket}/{key} is not the corpus of its bake: its sha256 is {found}"
            f" and was {marker['corpus_sha256']}."
        )
    return file


def _shown(path: Path) -> str:
    root = BUILD_DIRECTORY.parent
    return str(path.relative_to(root)) if path.is_relative_to(root) else str(path)
