"""Print the module map of docs/architecture.md: every module, and the first line of its docstring."""

import ast
from pathlib import Path

SRC = Path(__file__).parent.parent / "src"


def main() -> None:
    """Print the table; modules without a docstring have no purpose, and a test finds them."""
    print("| module | purpose |")
    print("|---|---|")
    for path in sorted(SRC.rglob("*.py")):
        docstring = ast.get_docstring(ast.parse(path.read_text(encoding="utf-8"))) or ""
        print(f"| `{path.relative_to(SRC).as_posix()}` | {docstring.partition(chr(10))[0]} |")


if __name__ == "__main__":
    main()
