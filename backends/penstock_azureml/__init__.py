"""Pipelines on Azure ML: registered as a pipeline component, run as pipeline jobs."""
