-- SPDX-License-Identifier: MIT
-- measure.lua - BENCH NAME OPERATIONS TICKS_PER_OPERATION, the best of several series.
local SERIES = 4	-- the first one warms up

-- As a peer: not before Linux has booted and serves files, for then it is idle.
local begun
repeat begun = io.open("/tmp/bench.begin", "w") until begun
begun:close()


-- Run f(n), which does n operations.
function measure(name, n, f)
	local best
	for series = 1, SERIES do
		collectgarbage()
		local start = tsc()
		f(n)
		local ticks = tsc() - start
		if series > 1 and (not best or ticks < best) then best = ticks end
	end
	print(string.format("BENCH %s %d %.1f", name, n, best / n))
end
