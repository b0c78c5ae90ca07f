"""From photos to vectors, in a Spark worker."""
