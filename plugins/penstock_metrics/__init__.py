"""What a server does, in numbers that Prometheus reads at `/metrics`."""
