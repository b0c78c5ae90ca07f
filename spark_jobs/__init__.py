"""The offline jobs, one file each: a pure `transform(df, …) -> df` and a small `main(argv)`. No Airflow."""
