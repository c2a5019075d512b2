"""A package whose SDK is not installed."""

import sdk_that_is_not_there.client  # noqa: F401  it is imported to fail
