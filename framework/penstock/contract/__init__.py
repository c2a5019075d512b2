"""The contract: all that a backend or plugin imports. `hooks` is its documentation."""
