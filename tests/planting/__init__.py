"""How faults are planted: at public seams only, which are hook answers, SQL statements and the environment."""
