"""What emulators of clouds have in common: HTTP on loopback, faults on request, steps as processes, a state file."""
