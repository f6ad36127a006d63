# SPDX-License-Identifier: MIT
"""What scripts/bench measures, one area a module; machine.py runs machines, table.py makes rows."""
