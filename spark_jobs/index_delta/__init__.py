"""From a base build and the rows that the tables hold now to a delta folder, and what the gate says of it."""
