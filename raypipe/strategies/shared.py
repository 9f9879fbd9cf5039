"""Settings that several strategies have in common."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from raypipe.parsing import MAX_DROPPED_SHARE as DEFAULT_MAX_DROPPED_SHARE
from raypipe.strategies.setting import Setting
from raypipe.strategies.token_level import TokenSteps

TAU: Setting[float] = Setting(
    name="tau",
    annotation=Annotated[float, Field(gt=0, allow_inf_nan=False)],
    default=1.0,
    summary="total concentration of a beam's Dirichlet distribution",
    examples=(0.5, 5.0),
    changes_probs=False,  # a mixture's mean is the same whatever the concentration
)

LENGTH_NORMALISED: Setting[bool] = Setting(
    name="length_normalised",
    annotation=bool,
    default=False,
    summary="rank and weigh beams and labels by alpha divided by their number of tokens",
    examples=(False, True),
)

MERGE_TOKENISATIONS: Setting[bool] = Setting(
    name="merge_tokenisations",
    annotation=bool,
    default=False,
    summary="beams of one text in different tokens count as one, as likely as all of them",
    examples=(False, True),
)

MAX_DROPPED_SHARE: Setting[float] = Setting(
    name="max_dropped_share",
    annotation=Annotated[float, Field(ge=0, le=1)],
    default=DEFAULT_MAX_DROPPED_SHARE,
    summary="largest share of labels outside the set that an answer may have, and stay valid",
    examples=(0.0, 1.0),
)

TOKEN_STEPS: Setting[TokenSteps] = Setting(
    name="token_steps",
    annotation=Literal["all", "words"],
    default="all",
    summary="generated steps whose logits are averaged: all, or words (those inside an emotion "
    "word of the text)",
    examples=("all", "words"),
)
