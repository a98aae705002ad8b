# SPDX-License-Identifier: Apache-2.0
"""Outliers like those of a large OPT, made in a model that has none, for studying scaling where no large model is at hand.

In large language models a few channels of the residual stream, the same for every token, are tens of times larger than the
others behind each normalization (Dettmers et al. 2022, LLM.int8(); Xiao et al. 2023, SmoothQuant, figure 4). Here a
normalization's output channels are multiplied by random factors and the columns of the linear layers behind it divided by
them: the function of the model stays the same, but its activations are as hard to quantize, and its weights no easier.
Whoever measures on such a model says so: it is part of the model's name.
"""

from __future__ import annotations

import copy
from dataclasses import replace

import numpy as np
import torch
from torch import nn

from golden.errors import InputError

from .block import GroupScale
from .models import LoadedModel
from .scaling import fold

__all__ = ["with_outliers"]

#: Standard deviation of the logarithm of every channel's factor.
SPREAD = 0.8
#: So many channels of each normalization get this factor besides.
OUTLIERS = 4
FACTOR = 20.0


def with_outliers(loaded: LoadedModel, seed: int) -> LoadedModel:
    """A copy of a model with outlier channels behind every normalization in front of linear layers; `seed` decides which.

    The outlier channels are the same in all layers, as they are in the residual stream of a large model.
    """
    if loaded.stream is not None:
        raise InputError(f"--outliers {seed}: {loaded.name} is too large to be changed in memory; give a smaller model")
    model = copy.deepcopy(loaded.model)
    generator = np.random.default_rng(seed)
    channels: np.ndarray | None = None
    made = []
    for name, layer in loaded.adapter.decoder_layers(model):
        for group in loaded.adapter.groups:
            if isinstance(layer.get_submodule(group.producer), nn.Linear):
                continue
            count = int(layer.get_submodule(group.consumers[0]).in_features)  # type: ignore[arg-type]
            if channels is None:
                channels = generator.choice(count, OUTLIERS, replace=False)
            factors = np.exp(SPREAD * generator.standard_normal(count))
            factors[channels] *= FACTOR
            scale = torch.from_numpy(1 / factors).to(model.device, torch.float32)
            made.append(GroupScale(name, group, scale, alpha=0.0, beta=0.0))
    fold(model, made)
    return replace(loaded, model=model, name=f"{loaded.name} with made outliers (seed {seed})")
