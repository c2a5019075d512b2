"""What checks have in common: things published, refusals, looks at runs, ways in."""
