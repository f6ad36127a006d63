-- SPDX-License-Identifier: MIT
-- files.lua - what a program does with whole files, through Linux's memory file system.
local PATH, COPY = "/tmp/bench.app", "/tmp/bench.copy"
local LINE = ("the quick brown fox jumps over the lazy dog "):rep(2):sub(1, 63) .. "\n"

local function write_all(path, text)
	local f = assert(io.open(path, "w"))
	assert(f:write(text))
	assert(f:close())
end

local function read_all(path)
	local f = assert(io.open(path))
	local text = f:read("a")
	f:close()
	return text
end

local text = LINE:rep(4096)	-- 256 KiB
write_all(PATH, text)

measure("file_write_256k", 1, function() write_all(PATH, text) end)
measure("file_read_256k", 1, function() assert(#read_all(PATH) == #text) end)
measure("file_copy_256k", 1, function() write_all(COPY, read_all(PATH)) end)
measure("file_words_256k", 1, function()
	local words = 0
	for line in io.lines(PATH) do
		for _ in line:gmatch("%a+") do words = words + 1 end
	end
	assert(words > 40000)
end)
os.remove(PATH)
os.remove(COPY)
