"""One JSON line per call of every verb, refused ones too."""
