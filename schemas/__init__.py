"""What rows and messages look like: the contracts that offline and online share. Standard library only, but for `api`."""
