"""The searcher: a thin HTTP service over published snapshots. No Spark, Airflow, Delta or torch."""
