"""What offline and online must do in exactly the same way. No Spark, no Airflow, no Flask."""
