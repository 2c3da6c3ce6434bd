"""`python -m melodylab.cli`, where the command itself is not on the path."""

from melodylab.cli import main

main()
