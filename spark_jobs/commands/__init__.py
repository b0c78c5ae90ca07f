"""What `shoplens model`, `evaluate` and `redrive` do and print."""
