"""Models whose code is nobody's but their authors': worked plug-ins call it.

Each plug-in is a package in the source checkout, below ``tests/plugins/``, to install beside the
model's own code. A test holds its entry point, options and clip limit to what stands here.
"""

from __future__ import annotations

from dataclasses import dataclass

from raypipe.engines.published import Proof, Published


@dataclass(frozen=True, slots=True, kw_only=True)
class OwnLoader:
    """A model that no built-in engine runs, and the worked plug-in that does.

    Attributes:
        name: what people call it.
        engine: name that the plug-in offers for ``model.engine``.
        package: folder of the plug-in in the source checkout.
        longest_s: longest clip in seconds that the plug-in takes.
        reason: why no longer clips.
        needs: what has to be installed beside it.
        published: its checkpoints; none if they are a family's.
        family: name of the family whose checkpoints it runs in another way.
        proved: how far it was proved.
    """

    name: str
    engine: str
    longest_s: float
    reason: str
    needs: str
    published: tuple[Published, ...] = ()
    family: str | None = None
    proved: Proof = "stand-in"

    @property
    def package(self) -> str:
        """Folder of the plug-in in the source checkout."""
        return f"tests/plugins/{self.engine.replace('-', '_')}"

    def limits_in_words(self) -> str:
        """Its longest clip, what its answers lack and what it needs."""
        return (
            f"one clip per prompt, up to {self.longest_s:g} s ({self.reason}); greedy answers "
            f"alone, without log-probabilities and logits; needs {self.needs}; the plug-in is in "
            f"{self.package}"
        )


OWN_LOADERS: tuple[OwnLoader, ...] = (
    OwnLoader(
        name="Audio Flamingo 2",
        engine="audio-flamingo-2",
        longest_s=120.0,
        reason="12 windows of 10 s in its published inference config",
        needs="the folder inference_HF_pretrained of NVIDIA/audio-flamingo",
        published=(
            Published(
                name="nvidia/audio-flamingo-2",
                licence="NVIDIA OneWay Noncommercial",
                gated=False,
                source="its card and file list on the hub; Qwen2.5 3B, whose 3 billion parameters "
                "are not all of it",
            ),
            Published(
                name="nvidia/audio-flamingo-2-0.5B",
                weights_gb=7.18,
                licence="NVIDIA OneWay Noncommercial",
                gated=False,
                source="its file list on the hub",
            ),
        ),
    ),
    OwnLoader(
        name="Baichuan-Omni-1.5",
        engine="baichuan-omni",
        longest_s=30.0,
        reason="one window of its processor",
        needs="what the checkpoint's own code imports",
        published=(
            Published(
                name="baichuan-inc/Baichuan-Omni-1d5",
                licence="apache-2.0, community",
                gated=False,
                source="its card and file list on the hub; commercial use has to be applied for",
            ),
        ),
    ),
    OwnLoader(
        name="LTU-AS",
        engine="ltu-as",
        longest_s=10.0,
        reason="its authors' demo cuts there",
        needs="YuanGongND/ltu with its forks of transformers, peft and whisper",
        published=(
            Published(
                name="LTU-AS",
                on_hub=False,
                licence="research only",
                source="its demo's text; the weights are to be downloaded one by one",
            ),
        ),
    ),
    OwnLoader(
        name="SALMONN",
        engine="salmonn",
        longest_s=30.0,
        reason="its code cuts there",
        needs="bytedance/SALMONN, Vicuna, Whisper large v2 and BEATs",
        published=(
            Published(
                name="tsinghua-ee/SALMONN",
                parameters=13.0,
                weights_gb=0.4,
                licence="apache-2.0",
                gated=False,
                source="its file list on the hub and its repository; 13 billion are Vicuna's, "
                "which is downloaded by itself; its encoders come on top",
            ),
            Published(
                name="tsinghua-ee/SALMONN-7B",
                parameters=7.0,
                weights_gb=0.363,
                licence="apache-2.0",
                gated=False,
                source="its file list on the hub; 7 billion are Vicuna's, which is downloaded by "
                "itself; its encoders come on top",
            ),
        ),
    ),
    OwnLoader(
        name="Ultravox with transformers",
        engine="ultravox-transformers",
        longest_s=30.0,
        reason="the window of its feature extractor",
        needs="what the checkpoint's own code imports",
        family="Ultravox",
    ),
)
"""By name."""
