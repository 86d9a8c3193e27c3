"""Stable Diffusion: load a pipeline, draw pictures whose bytes their recipe decides, and draw them again.

>>> from apps.imagegen import draw
>>> [picture] = draw("red apple", seed=7, steps=2)
>>> picture.recipe.seed, picture.image().size
(7, (128, 128))
"""

from typing import TYPE_CHECKING

from core.api import lazy_names

if TYPE_CHECKING:
    from apps.imagegen.data.recipe import Recipe as Recipe
    from apps.imagegen.errors import AdapterError as AdapterError
    from apps.imagegen.errors import PictureError as PictureError
    from apps.imagegen.errors import RecipeError as RecipeError
    from apps.imagegen.models.pipeline_folder import Pipeline as Pipeline
    from apps.imagegen.models.pipeline_folder import load_pipeline as load_pipeline
    from apps.imagegen.pictures import Picture as Picture
    from apps.imagegen.pictures import Replayed as Replayed
    from apps.imagegen.pictures import draw as draw
    from apps.imagegen.pictures import replay as replay
    from core.errors import ConfigError as ConfigError
    from core.errors import InputError as InputError
    from core.errors import TriptychError as TriptychError
else:
    __getattr__, __dir__, __all__ = lazy_names(
        __name__,
        {
            "AdapterError": "apps.imagegen.errors",
            "ConfigError": "core.errors",
            "InputError": "core.errors",
            "Picture": "apps.imagegen.pictures",
            "PictureError": "apps.imagegen.errors",
            "Pipeline": "apps.imagegen.models.pipeline_folder",
            "Recipe": "apps.imagegen.data.recipe",
            "RecipeError": "apps.imagegen.errors",
            "Replayed": "apps.imagegen.pictures",
            "TriptychError": "core.errors",
            "draw": "apps.imagegen.pictures",
            "load_pipeline": "apps.imagegen.models.pipeline_folder",
            "replay": "apps.imagegen.pictures",
        },
    )
