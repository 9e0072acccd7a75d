"""The configuration's schema on standard output, or with ``--reference`` what readers get."""

from mmroute.config.reference import main

main()
