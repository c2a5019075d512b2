"""How faults are planted: at public seams only, hook answers, SQL statements, requests to doors, the environment."""
