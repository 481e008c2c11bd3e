"""`python -m nodegraph` is `nodegraph`."""

from nodegraph.cli import main

if __name__ == "__main__":
    main()
