-- SPDX-License-Identifier: MIT
-- work.lua - a fixed piece of computing; `WORK lua BEGUN ENDED` in ticks of the TSC, which all of the machine share.
local function fib(n)
	return n < 2 and n or fib(n - 1) + fib(n - 2)
end

local begun = tsc()
for _ = 1, 150 do assert(fib(20) == 6765) end
print(string.format("WORK lua %d %d", begun, tsc()))
