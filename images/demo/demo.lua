-- SPDX-License-Identifier: MIT
-- Counts words of files on Linux's disk, which this program reaches through the channel to Linux,
-- writes what it found to /mnt/result.txt, then answers lines typed on its console.

local function count(path)
	local file, why = io.open(path, "r")
	if not file then
		return nil, why
	end
	local lines, words, seen = 0, 0, {}
	for line in file:lines() do
		lines = lines + 1
		for word in line:gmatch("%a+") do
			words = words + 1
			seen[word] = (seen[word] or 0) + 1
		end
	end
	file:close()
	return lines, words, seen
end

local function favourite(seen)
	local best
	for word, times in pairs(seen) do
		if not best or times > seen[best] or (times == seen[best] and word < best) then
			best = word
		end
	end
	return best
end

local report = {}
local start = os.clock()
for _, path in ipairs({ "/mnt/README.md", "/mnt/words.txt" }) do
	local lines, words, seen = count(path)
	local text
	if lines then
		local best = favourite(seen)
		text = string.format("%s: %d lines, %d words, most often '%s' (%d)", path, lines, words, best, seen[best])
	else
		text = string.format("%s: %s", path, words)
	end
	print(text)
	report[#report + 1] = text
end
print(string.format("counted in %.3f s", os.clock() - start))

local out, why = io.open("/mnt/result.txt", "w")
if out then
	out:write(table.concat(report, "\n"), "\n")
	out:close()
	print("result in /mnt/result.txt")
else
	print("no result file: " .. why)
end

print("type a line of Lua; an empty line ends")
for line in io.lines() do
	if line == "" then
		break
	end
	local run, problem = load("return " .. line)
	if not run then
		run, problem = load(line)
	end
	if run then
		print(select(2, pcall(run)))
	else
		print(problem)
	end
end
print("bye")
