"""Stand-in for ``utils/prompter.py`` of YuanGongND/ltu."""

import json
from pathlib import Path


class Prompter:
    def __init__(self, template_name="", verbose=False):
        self.template = json.loads(Path(f"templates/{template_name}.json").read_text())

    def generate_prompt(self, instruction, input=None, label=None):
        return self.template["prompt_input"].format(instruction=instruction, input=input)
