"""Stand-in for ``config.py`` of bytedance/SALMONN: plain YAML in the place of OmegaConf."""

from pathlib import Path

import yaml


class Config:
    def __init__(self, args):
        assert args.options is None
        self.config = yaml.safe_load(Path(args.cfg_path).read_text())
