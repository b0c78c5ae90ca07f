"""What every job stands on: arguments, receipt and exit code; a Spark session; errors in one line."""
