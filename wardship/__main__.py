"""`python -m wardship` is `wardship`."""

import sys

from wardship.cli.main import main

sys.exit(main())
