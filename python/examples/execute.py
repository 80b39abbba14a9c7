"""Executes a notebook: `python execute.py shop.ipynb` writes it with its results, and with `--check` only runs it."""

from __future__ import annotations

import sys

import nbformat
from nbclient import NotebookClient


def main(path: str, *options: str) -> None:
    notebook = nbformat.read(path, as_version=4)
    NotebookClient(notebook, timeout=600, kernel_name="python3").execute()
    if "--check" not in options:
        for cell in notebook.cells:
            # Times are no part of the result.
            cell.metadata = {}
        notebook.metadata = {"kernelspec": notebook.metadata["kernelspec"]}
        nbformat.write(notebook, path)


if __name__ == "__main__":
    main(*sys.argv[1:])
