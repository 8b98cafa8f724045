"""python -m evaluators.train EMBEDDER --out FOLDER: trains an embedder; `evaluators.training` has the options."""

from importlib import import_module

from casim import cli, plugins

COMMANDS = {
    name: import_module(f"evaluators.training.{name}").main for name in plugins.names("evaluators.training")
}
"""The sub-commands by name."""

if __name__ == "__main__":
    cli.main_exit(COMMANDS)
