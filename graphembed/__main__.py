"""``python -m graphembed`` is the command `graphembed`."""

from graphembed.cli import main

raise SystemExit(main())
