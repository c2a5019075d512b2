"""What tests of penstock, of its backends and of its plugins share. Needs the extra `testing`."""
