"""What goes wrong on purpose: processes killed between durable steps, answers lost, late, twice or stale."""
