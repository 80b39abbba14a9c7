"""Saved models."""

from __future__ import annotations

import json
import os

from . import _upnext, models
from ._recommender import Recommender


def load(path: str | os.PathLike[str], *, to_train: bool = False) -> Recommender:
    """Loads a saved model, of whatever kind, as an object of its class.

    With ``to_train``, what a further training needs is loaded, too, if the model has it.
    """
    fitted = (_upnext.Model.load_to_train if to_train else _upnext.Model.load)(path)
    classes = {getattr(models, name).kind: getattr(models, name) for name in models.__all__}
    model = classes[fitted.kind]()
    experiment = json.loads(fitted.experiment)
    for table, names in (("model", model._model_fields), ("training", model._training_fields)):
        for name in names:
            value = experiment[table].get(name)
            setattr(model, name, tuple(value) if isinstance(value, list) else value)
    model._fitted = fitted
    return model
