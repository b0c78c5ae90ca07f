"""What `shoplens index`, `clean` and `doctor` do and print."""
