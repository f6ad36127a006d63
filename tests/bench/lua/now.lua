-- SPDX-License-Identifier: MIT
print(string.format("WORK linux %d", tsc()))
