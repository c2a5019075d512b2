"""The workspace behind HTTP: the neutral API, and the doors that plugins contribute. Needs the extra `server`."""
