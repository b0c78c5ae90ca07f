"""What `shoplens doctor` looks at: each check gives findings, none changes anything that lasts."""
