-- SPDX-License-Identifier: MIT
-- demo.lua - Keel's main job: counts lines and words of files on Linux's disk, which this program
-- reaches through the channel to Linux, writes what it found to result.txt beside them, then
-- evaluates lines typed on its console.
--
-- The same program on any Lua 5.4:  lua5.4 images/demo/demo.lua DIRECTORY  (default /mnt). Its output
-- is the same, but for the line that starts with "time:".

local dir = arg and arg[1] or "/mnt"
local files = { "README.md", "words.txt" }

-- Lines and words of a file, and the most frequent word; or nil and the reason.
local function count(path)
	local file, why = io.open(path)
	if not file then
		return nil, why
	end
	local lines, words, seen = 0, 0, {}
	for line in file:lines() do
		lines = lines + 1
		for word in line:gmatch("%S+") do
			words = words + 1
			seen[word] = (seen[word] or 0) + 1
		end
	end
	file:close()

	local best, times = "", 0
	for word, n in pairs(seen) do
		if n > times or (n == times and word < best) then
			best, times = word, n
		end
	end
	return { lines = lines, words = words, best = best, times = times }
end

local function describe(name)
	local c, why = count(dir .. "/" .. name)
	if not c then
		return why
	end
	return string.format("%s: %d lines, %d words, most often '%s' (%d)",
		name, c.lines, c.words, c.best, c.times)
end

local function write_result(report)
	local path = dir .. "/result.txt"
	local out, why = io.open(path, "w")
	if not out then
		return "no result file: " .. why
	end
	local ok
	ok, why = out:write(report, "\n")
	if ok then
		ok, why = out:close()
	end
	return ok and "result.txt written" or "result.txt not written: " .. tostring(why)
end

-- One typed line: an expression or a statement. Returns what to print, or nil.
local function answer(line)
	local run, why = load("return " .. line, "=console")
	if not run then
		run, why = load(line, "=console")
	end
	if not run then
		return why
	end
	local got = table.pack(pcall(run))
	if got.n == 1 then
		return nil
	end
	for i = 2, got.n do
		got[i] = tostring(got[i])
	end
	return table.concat(got, "\t", 2, got.n)
end

print(_VERSION .. " counts words")
-- The first open waits for Linux to come up, which is not what the time below is about.
local first = io.open(dir .. "/" .. files[1])
if first then
	first:close()
end
local start = os.clock()
local report = {}
for i, name in ipairs(files) do
	report[i] = describe(name)
end
local seconds = os.clock() - start
report = table.concat(report, "\n")
print(report)
print(string.format("time: %.3f s", seconds))
print(write_result(report))

while true do
	io.write("lua> ")
	io.flush()
	local line = io.read()
	if not line or line == "exit" then
		break
	end
	local text = answer(line)
	if text then
		print(text)
	end
end
print("bye")
