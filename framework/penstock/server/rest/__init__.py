"""The neutral API, `/v1`: what the command line can do that is not about this machine's files."""
