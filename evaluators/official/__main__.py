"""python -m evaluators.official SYSTEM FILE ... --out FOLDER: authors' evaluator weights as an embedder."""

from importlib import import_module

from casim import cli, plugins

COMMANDS = {
    name: import_module(f"evaluators.official.{name}").main for name in plugins.names("evaluators.official")
}
"""The sub-commands by name."""

if __name__ == "__main__":
    cli.main_exit(COMMANDS)
