"""Text as numbers: files that are read with care, words and characters, and the vocabulary that numbers them."""

from .files import read_tagged, read_text
from .tokens import characters, words
from .vocabulary import Vocabulary

__all__ = ["Vocabulary", "characters", "read_tagged", "read_text", "words"]
