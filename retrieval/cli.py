"""The command `shoplens`: its subcommands come from entry points, so each environment offers what it can run."""

import errno
import sys
from importlib.metadata import entry_points

import click

from schemas.errors import EXIT_MISCONFIGURED, ShopLensError

COMMANDS = "shoplens.commands"


class InstalledCommands(click.Group):
    """Loads a subcommand when it is asked for; one whose libraries are not installed says where it runs."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return sorted(point.name for point in entry_points(group=COMMANDS))

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        for point in entry_points(group=COMMANDS, name=cmd_name):
            try:
                command = point.load()
            except ImportError as error:
                return _unavailable(cmd_name, error)
            assert isinstance(command, click.Command)
            return command
        return None


def _unavailable(name: str, error: ImportError) -> click.Command:
    @click.command(name, help="Not available in this environment.", context_settings={"ignore_unknown_options": True})
    @click.argument("arguments", nargs=-1)
    def command(arguments: tuple[str, ...]) -> None:
        raise click.ClickException(
            f"{name} needs {error.name}: run it from the environment that has it (docs/operations.md)"
        )

    return command


@click.command(cls=InstalledCommands, name="shoplens")
@click.version_option(package_name="shoplens")
def shoplens() -> None:
    """Visual product search: catalogs in, a published index out."""


def main() -> None:
    """The command `shoplens`."""
    run_command(shoplens)


def run_command(command: click.Command) -> None:
    """Run with the process's arguments; an expected error is one line and its exit code."""
    try:
        outcome = command(standalone_mode=False)
    except click.ClickException as error:
        error.show()
        sys.exit(error.exit_code)
    except click.Abort:
        sys.exit(130)
    except ShopLensError as error:
        print(f"{command.name}: {error}", file=sys.stderr)
        sys.exit(error.exit_code)
    except OSError as error:  # a file or folder that was named, or a full disk behind standard output
        print(f"{command.name}: {_plainly(error)}", file=sys.stderr)
        sys.exit(EXIT_MISCONFIGURED)
    if isinstance(outcome, int) and outcome:  # what a command's Exit comes to here
        sys.exit(outcome)


def _plainly(error: OSError) -> str:
    if error.filename and error.errno in (errno.EEXIST, errno.ENOTDIR):
        return f"a file is where {error.filename} needs a folder: name another, or move the file away"
    return str(error)


if __name__ == "__main__":
    main()
