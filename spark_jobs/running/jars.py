"""The JARs that local Spark needs, resolved once, alone, into a folder of the project.

Two Spark starts on a cold Ivy cache spoil each other, so `make` runs this module before anything else starts Spark.
EMR brings its own.
"""

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

DELTA_JARS = ("io.delta:delta-spark_2.13:4.0.1",)
POSTGRESQL_JARS = ("org.postgresql:postgresql:42.7.7",)
S3_JARS = ("org.apache.hadoop:hadoop-aws:3.4.1",)  # must match Spark's Hadoop; brings 640 MB of AWS SDK
PROJECT_ROOT = Path(__file__).resolve().parents[2]


def jar_folder() -> Path:
    return Path(os.environ.get("SHOPLENS_JARS", PROJECT_ROOT / ".jars"))


def local_jars(*, s3: bool = False) -> list[str]:
    """Paths for `spark.jars`. Raises FileNotFoundError where they were not resolved yet."""
    groups = ["local", "s3"] if s3 else ["local"]
    found = [str(path) for group in groups for path in sorted((jar_folder() / group).glob("*.jar"))]
    if not found or not all((jar_folder() / group / ".resolved").exists() for group in groups):
        raise FileNotFoundError(f"no JARs in {jar_folder()}: run `make jars`")
    return found


def resolve(coordinates: tuple[str, ...], folder: Path) -> None:
    """Fetch Maven coordinates and what they need into `folder`; a folder that is complete for them is left alone."""
    mark = folder / ".resolved"
    wanted = "\n".join(coordinates)
    if mark.exists() and mark.read_text() == wanted:
        return
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as scratch:
        from pyspark.find_spark_home import _find_spark_home

        spark_submit = Path(_find_spark_home()) / "bin" / "spark-submit"
        script = Path(scratch) / "nothing.py"
        script.write_text("")
        subprocess.run(
            [str(spark_submit), "--master", "local[1]", "--packages", ",".join(coordinates),
             "--conf", f"spark.jars.ivy={scratch}/ivy", str(script)],
            check=True, stdout=subprocess.DEVNULL, stderr=None if sys.stderr.isatty() else subprocess.DEVNULL,
            env={**os.environ, "PYSPARK_PYTHON": sys.executable},
        )  # fmt: skip
        for jar in (Path(scratch) / "ivy" / "jars").glob("*.jar"):
            shutil.copy2(jar, folder / jar.name)
    mark.write_text(wanted)


def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--s3", action="store_true", help="also what S3 tests need (640 MB)")
    arguments = parser.parse_args(argv)
    resolve(DELTA_JARS + POSTGRESQL_JARS, jar_folder() / "local")
    if arguments.s3:
        resolve(S3_JARS, jar_folder() / "s3")
    return 0


if __name__ == "__main__":
    sys.exit(main())
