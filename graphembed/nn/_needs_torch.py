"""Imported before anything that imports torch: its absence is an ImportError with a remedy."""

from graphembed._validation import import_optional

import_optional("torch", extra="torch")
