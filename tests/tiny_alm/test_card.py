import json

from raypipe.tiny_alm import checkpoint_path
from raypipe.tiny_alm.training.card import model_card


def evaluation() -> dict:
    return json.loads((checkpoint_path() / "evaluation.json").read_text(encoding="utf-8"))


def test_the_card_states_what_the_evaluation_found():
    card = (checkpoint_path() / "README.md").read_text(encoding="utf-8")
    assert card == model_card(evaluation())


def test_what_else_happened_in_training_is_told():
    result = evaluation()
    result["training"]["history"] = ["Trained on a Tuesday."]
    assert "\n- Trained on a Tuesday.\n" in model_card(result)
    del result["training"]["history"]
    assert "Tuesday" not in model_card(result)
