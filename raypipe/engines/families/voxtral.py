"""Voxtral, whose turns are written by mistral-common."""

from __future__ import annotations

import base64
import io
from typing import TYPE_CHECKING

import soundfile

from raypipe.engines.families.family import ClipLimits, Family
from raypipe.engines.input_builders import ProcessorInputBuilder
from raypipe.engines.published import Published
from raypipe.records import ClipPlace, FloatArray

if TYPE_CHECKING:
    from transformers import BatchFeature


class MistralInputBuilder(ProcessorInputBuilder):
    """Inputs made by a chat template that takes the clip as a file."""

    def _control_tokens(self) -> tuple[str, ...]:
        # It never reads any in the text of a message.
        return ()

    def _processed(
        self, prompt: str, samples: FloatArray | None, clip: ClipPlace | None = None
    ) -> BatchFeature:
        content = [{"type": "text", "text": prompt}] if prompt else []
        if samples is not None:
            # As floating-point numbers: nothing is rounded on the way.
            file = io.BytesIO()
            soundfile.write(file, samples, self.sampling_rate, format="WAV", subtype="FLOAT")
            encoded = base64.b64encode(file.getvalue()).decode()
            place = len(content) if clip == "after" else 0
            content.insert(place, {"type": "audio", "base64": encoded})
        processed: BatchFeature = self._processor.apply_chat_template(
            [{"role": "user", "content": content}], return_tensors="pt"
        )
        return processed


FAMILY = Family(
    name="Voxtral",
    architecture="VoxtralForConditionalGeneration",
    processor="VoxtralProcessor",
    input_builder=MistralInputBuilder,
    clips=ClipLimits(longest_s=2400.0, encoded_in_s=30.0, reason="what its card states"),
    extra="voxtral",
    published=(
        Published(
            name="mistralai/Voxtral-Mini-3B-2507",
            parameters=4.676,
            dtype="bfloat16",
            licence="apache-2.0",
            source="counted on transformers' default config, which is its; 9.5 GB of GPU memory in "
            "half precision by its card",
        ),
        Published(
            name="mistralai/Voxtral-Small-24B-2507",
            parameters=24.0,
            dtype="bfloat16",
            licence="apache-2.0",
            gated=False,
            source="its card on the hub, which rounds",
        ),
    ),
)
