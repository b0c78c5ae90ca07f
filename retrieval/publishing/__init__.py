"""What is live: CURRENT moved forward and back, and what it no longer needs removed."""
