"""Log checkpoint and bundle as artifacts at Weights & Biases, and that the bundle was made from the checkpoint.

Files are hashed and uploaded in place, not copied; offline they must not be moved before `wandb sync`.
"""

import logging
import os
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from src.contracts.bundle import Bundle
from src.tracking.run_file import WandbRun, read_run

if TYPE_CHECKING:  # importing it takes a second, and most runs do not need it
    import wandb

__all__ = ["checkpoint_artifact", "log_bundle"]

log = logging.getLogger(__name__)


def checkpoint_artifact(run_id: str, checkpoint: Path, card: Mapping[str, Any]) -> "wandb.Artifact":
    """A checkpoint as an artifact; Weights & Biases recognises a second one of the same file as equal.

    Args:
        run_id: of the training.
        checkpoint: the file.
        card: the checkpoint's.
    """
    import wandb

    artifact = wandb.Artifact(f"encoder-{run_id}", type="model", metadata={"card": dict(card)})
    artifact.add_file(str(checkpoint), name=checkpoint.name, policy="immutable", skip_cache=True)
    return artifact


def log_bundle(bundle: Bundle, checkpoint: Path, card: Mapping[str, Any]) -> None:
    """Log an export as a separate run, which uses the checkpoint's artifact and creates the bundle's.

    Nothing is logged where the training was not tracked. If Weights & Biases cannot be reached, a warning is logged;
    the bundle is complete without it.

    Args:
        bundle: the exported bundle.
        checkpoint: its checkpoint; `tracking.json` in the run's folder names the training's run.
        card: the checkpoint's.
    """
    training = read_run(checkpoint.parent.parent)
    if training is None:
        return
    import wandb

    try:
        _log(bundle, checkpoint, card, training)
    except (wandb.errors.Error, ValueError) as error:
        log.warning("the bundle was not logged at Weights & Biases (%s); WANDB_MODE=offline logs to disk", error)


def _log(bundle: Bundle, checkpoint: Path, card: Mapping[str, Any], training: WandbRun) -> None:
    import wandb

    about = {"bundle_id": bundle.bundle_id, "training": training.id}
    about |= {name: bundle.content[name] for name in ("dim", "encoder_id", "index", "catalogue")}
    with wandb.init(
        project=training.project,
        entity=training.entity,
        group=training.group,
        name=f"{training.name}-export",
        job_type="export",
        dir=checkpoint.parent.parent,
        # An offline training has an offline export, unless the environment sets the mode.
        mode="offline" if training.offline and "WANDB_MODE" not in os.environ else None,
        config=about,
    ) as run:
        used = checkpoint_artifact(training.id, checkpoint, card)
        if run.offline:
            # `use_artifact` does not work offline; this writes the record that it writes online, for the upload.
            run._log_artifact(used, aliases=[], is_user_created=True, use_after_commit=True)
        else:
            run.use_artifact(used)
        made = wandb.Artifact(f"bundle-{training.id}", type="bundle", metadata=about)
        made.add_dir(str(bundle.root), policy="immutable", skip_cache=True)
        run.log_artifact(made)
