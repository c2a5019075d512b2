"""Vertex AI on this machine, for tests: Google's messages on both sides, and jobs that really run."""
