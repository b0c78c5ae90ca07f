"""Who may ask, from where and how often, and which sites photos may be fetched from."""
