"""Stand-in for ``models/salmonn.py`` of bytedance/SALMONN."""


class SALMONN:
    @classmethod
    def from_config(cls, config):
        assert {"llama_path", "whisper_path", "beats_path", "ckpt"} <= set(config)
        return cls()

    def to(self, device):
        assert device == "cpu"

    def eval(self):
        return self

    def generate(self, samples, generate_cfg, prompts=None):
        from stand_in_answers import answer_about, level

        assert (generate_cfg["num_beams"], generate_cfg["do_sample"]) == (1, False)
        assert generate_cfg["length_penalty"] == 1.0  # of its config
        assert len(prompts) == len(samples["spectrogram"]) == 1
        before, after = prompts[0].split("<SpeechHere>")
        assert before == "USER: <Speech>"
        assert after.startswith("</Speech> ")
        assert after.endswith("\nASSISTANT:")
        return [f"<s> {answer_about(level(samples['raw_wav']))}</s>"]
