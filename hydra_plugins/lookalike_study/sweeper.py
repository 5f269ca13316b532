"""`python train.py -m sweep=NAME`: a sweeper by Optuna's ask and tell, with any of Hydra's launchers.

Hydra imports this module at each start, so that slow modules are imported where they are used.
"""

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hydra.core.config_store import ConfigStore
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.plugins import Plugins
from hydra.core.utils import JobStatus
from hydra.plugins.launcher import Launcher
from hydra.plugins.sweeper import Sweeper
from hydra.types import HydraContext, TaskFunction
from omegaconf import DictConfig, OmegaConf

from src.contracts.settings.sweep import SweepSettings

if TYPE_CHECKING:
    from src.sweeps.trials import Job

__all__ = ["StudySweeper", "StudySweeperSettings"]

_ROOT = Path(__file__).resolve().parents[2]


@dataclass
class StudySweeperSettings(SweepSettings):
    """The settings under `hydra.sweeper`."""

    _target_: str = "hydra_plugins.lookalike_study.sweeper.StudySweeper"


ConfigStore.instance().store(group="hydra/sweeper", name="study", node=StudySweeperSettings, provider="lookalike")


class StudySweeper(Sweeper):
    """Translates between Hydra and `src.sweeps`: the search space, and launching trainings."""

    def __init__(self, **settings: Any) -> None:
        plain: dict[str, Any] = {
            name: OmegaConf.to_container(value) if OmegaConf.is_config(value) else value
            for name, value in settings.items()
        }
        self.settings = SweepSettings(**plain)
        self._launched = 0

    def setup(self, *, hydra_context: HydraContext, task_function: TaskFunction, config: DictConfig) -> None:
        """Store what Hydra passes to a sweeper."""
        self.hydra_context, self.config = hydra_context, config
        self._launcher: Launcher = Plugins.instance().instantiate_launcher(
            hydra_context=hydra_context, task_function=task_function, config=config
        )

    def sweep(self, arguments: list[str]) -> None:
        """Run or continue the sweep of the command line, and print its outcome."""
        from hydra_plugins.lookalike_study._space import search_space
        from src.sweeps.sweep import run_sweep

        assert self.config is not None
        assert self.hydra_context is not None
        self.settings.check()
        parser = OverridesParser.create(config_loader=self.hydra_context.config_loader)
        space, self._fixed = search_space(parser, self.settings, arguments)
        folder = Path(self.config.hydra.sweep.dir)
        folder.mkdir(parents=True, exist_ok=True)
        # Launchers that start processes must find the code from any working directory.
        paths = [str(_ROOT), *filter(None, [os.environ.get("PYTHONPATH")])]
        os.environ["PYTHONPATH"] = os.pathsep.join(dict.fromkeys(paths))
        run_sweep(folder, self.settings, space, self._fixed, self._launch)

    def _launch(self, jobs: Sequence["Job"]) -> list[str | None]:
        """Train all jobs; returns for each the message of its failure, or None."""
        overrides = [[*self._fixed, *job.overrides, f"hydra.sweep.subdir={job.folder}"] for job in jobs]
        messages = [self._why_not(each) for each in overrides]
        legal = [number for number, message in enumerate(messages) if message is None]
        if not legal:
            return messages
        if not self._launched:
            # Here the folder is locked and known to be this sweep's.
            OmegaConf.save(self.config, Path(self.config.hydra.sweep.dir) / "multirun.yaml")  # type: ignore[union-attr]
        first, self._launched = self._launched, self._launched + len(legal)
        try:
            returns = self._launcher.launch([overrides[number] for number in legal], initial_job_idx=first)
        except Exception as error:  # a killed process or a lost node; the launcher does not say of which job
            for number in legal:
                done = Path(self.config.hydra.sweep.dir) / jobs[number].folder / "metrics.json"  # type: ignore[union-attr]
                messages[number] = None if done.is_file() else f"its process was lost ({type(error).__name__}: {error})"
            return messages
        for number, job in zip(legal, returns, strict=True):
            if job.status == JobStatus.FAILED:
                messages[number] = str(job._return_value)
        return messages

    def _why_not(self, overrides: list[str]) -> str | None:
        """The message where these overrides do not compose, or None."""
        try:
            self.validate_batch_is_legal([overrides])
        except Exception as error:  # Hydra's and OmegaConf's have no common base
            return str(error)
        return None
