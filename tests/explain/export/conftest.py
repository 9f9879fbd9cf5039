"""Puts this folder's plain modules on the path, as ``tests/conftest.py`` does with its own."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))
