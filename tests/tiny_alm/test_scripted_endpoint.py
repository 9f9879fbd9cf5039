import base64
import io
import json
import threading
import urllib.error
import urllib.request

import pytest
import soundfile

from raypipe.labels import LABEL_SETS
from raypipe.prompts import render, template_source
from raypipe.tiny_alm.scripted_endpoint import completion, serve
from raypipe.tiny_alm.scripted_teacher import scripted_rationale
from raypipe.tiny_alm.spoken import sentence, spoken_clip

LABELS = LABEL_SETS["msp-podcast-8"]
SAMPLES, _ = spoken_clip(0, "train")
SAID = sentence(0, "train")


def body(prompt, samples=SAMPLES):
    data = io.BytesIO()
    soundfile.write(data, samples, 16_000, format="WAV", subtype="FLOAT")
    audio = {"data": base64.b64encode(data.getvalue()).decode(), "format": "wav"}
    content = [{"type": "input_audio", "input_audio": audio}, {"type": "text", "text": prompt}]
    return {"model": "scripted", "messages": [{"role": "user", "content": content}]}


def text(document):
    return document["choices"][0]["message"]["content"]


@pytest.fixture(scope="module")
def url():
    with serve(0) as server:
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}/v1/chat/completions"
        server.shutdown()
        thread.join()


def post(url, document):
    request = urllib.request.Request(url, json.dumps(document).encode())
    with urllib.request.urlopen(request, timeout=30) as reply:
        return json.loads(reply.read())


def rationale_prompt():
    source = template_source("rationale")
    return render(source, transcript=SAID, emotion="Sad", broken=[])


def test_the_teacher_answers_the_built_in_prompt(url):
    assert text(post(url, body(rationale_prompt()))) == scripted_rationale(SAID, SAMPLES, 16_000)


def test_the_judge_answers_the_built_in_prompt(url):
    good = scripted_rationale(SAID, SAMPLES, 16_000)
    prompt = render(
        template_source("judge"),
        audio=True,
        emotion="sadness",
        transcript=SAID,
        reason_a="It sounds so.",
        reason_b=good,
    )
    assert text(post(url, body(prompt))) == "B"


def test_what_is_not_answered_is_said(url):
    with pytest.raises(urllib.error.HTTPError, match="400") as refused:
        post(url, body("Which emotion is it?"))
    assert b"rationale and judge only" in refused.value.read()
    without = {"messages": [{"role": "user", "content": rationale_prompt()}]}
    with pytest.raises(ValueError, match="the request has none"):
        completion(without)
