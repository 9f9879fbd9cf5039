"""Stand-in for the package whisper_at, as LTU-AS calls it."""


class Transcriber:
    def transcribe(self, audio):
        return {"text": " Well."}


def load_model(name, device=None, download_root=None, in_memory=False):
    assert name == "large-v2"
    return Transcriber()
