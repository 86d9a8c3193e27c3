"""The risk model: forecasts of series and of events by date, from Python.

Load a model with `load_model`, say with `Columns` what the columns of a table are, and score it with `score_table`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from core.api import lazy_names

if TYPE_CHECKING:
    from apps.risk.api import Scores as Scores
    from apps.risk.api import score_table as score_table
    from apps.risk.data.columns import Columns as Columns
    from apps.risk.data.samples import Sample as Sample
    from apps.risk.data.samples import load_sample as load_sample
    from apps.risk.models.risk_model import RiskModel as RiskModel
    from apps.risk.models.risk_model import load_model as load_model
    from apps.risk.scoring.score_rows import Refused as Refused
    from core.errors import ConfigError as ConfigError
    from core.errors import InputError as InputError
    from core.errors import TriptychError as TriptychError
else:
    __getattr__, __dir__, __all__ = lazy_names(
        __name__,
        {
            "Columns": "apps.risk.data.columns",
            "ConfigError": "core.errors",
            "InputError": "core.errors",
            "Refused": "apps.risk.scoring.score_rows",
            "RiskModel": "apps.risk.models.risk_model",
            "Sample": "apps.risk.data.samples",
            "Scores": "apps.risk.api",
            "TriptychError": "core.errors",
            "load_model": "apps.risk.models.risk_model",
            "load_sample": "apps.risk.data.samples",
            "score_table": "apps.risk.api",
        },
    )
