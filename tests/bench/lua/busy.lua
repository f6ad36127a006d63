-- SPDX-License-Identifier: MIT
-- busy.lua - computes without end; BENCH lua_beside_linux OPERATIONS TICKS_PER_OPERATION again and again.
local function fib(n)
	return n < 2 and n or fib(n - 1) + fib(n - 2)
end

while true do
	local start = tsc()
	for _ = 1, 10 do assert(fib(20) == 6765) end
	print(string.format("BENCH lua_beside_linux 10 %.1f", (tsc() - start) / 10))
end
