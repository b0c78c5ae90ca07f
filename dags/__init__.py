"""When the jobs run and in what order: Airflow only; a job is a name and arguments."""
