-- SPDX-License-Identifier: MIT
-- calls.lua - single file operations: driver calls of a peer, system calls of a process.
local PATH, OUT = "/tmp/bench.calls", "/tmp/bench.out"
local LINE = ("0123456789"):rep(6) .. "\n"

if nop(1) then
	measure("nop", 200, function(n) for _ = 1, n do assert(nop(1)) end end)
	measure("nop_batch32", 32 * 20, function(n) for _ = 1, n / 32 do assert(nop(32)) end end)
end

local f = assert(io.open(PATH, "w"))
f:write(LINE:rep(17190))	-- 1 MiB and a little
f:close()

measure("open_close", 50, function(n)
	for _ = 1, n do assert(io.open(PATH)):close() end
end)

-- One byte, 4 KiB, 64 KiB, each following the one before.
local function reads(name, bytes, n)
	measure(name, n, function()
		local g = assert(io.open(PATH))
		for _ = 1, n do assert(#g:read(bytes) == bytes) end
		g:close()
	end)
end

reads("read_1", 1, 100000)
reads("read_4k", 4096, 200)
reads("read_64k", 65536, 15)

local g = assert(io.open(PATH))
measure("seek_read", 50, function(n)
	for i = 1, n do
		g:seek("set", (i * 400009) % 1048576)
		assert(#g:read(1) == 1)
	end
end)
g:close()

local out = assert(io.open(OUT, "w"))
measure("write_flush", 50, function(n)
	for _ = 1, n do
		out:write("x")
		out:flush()
	end
end)
out:close()

measure("lines_1m", 1, function()
	local count = 0
	for _ in io.lines(PATH) do count = count + 1 end
	assert(count == 17190)
end)
os.remove(PATH)
os.remove(OUT)
