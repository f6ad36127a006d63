-- SPDX-License-Identifier: MIT
print("hello")
io.stdout:flush()
io.read()
