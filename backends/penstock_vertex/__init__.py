"""Pipelines on Vertex AI: compiled to KFP IR, run as pipeline jobs."""
