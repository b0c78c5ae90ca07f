"""From a base build and the rows that the tables hold now to a delta folder, in memory and without Spark."""
