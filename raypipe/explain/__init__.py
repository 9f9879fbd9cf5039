"""The explainable framework of explainable_speechlm: rationales, training files, judges, sheets."""
