"""The backend that runs pipelines as processes on this machine."""
