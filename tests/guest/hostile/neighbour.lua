-- SPDX-License-Identifier: MIT
-- neighbour.lua - work whose result is known, while another partition misbehaves. Exit status 0: right.
local sum, text = 0, {}
for round = 1, 40 do
	for i = 1, 20000 do sum = (sum * 31 + i) % 1000000007 end
	text[#text + 1] = string.format("%d", sum)
end
local again = 0
for round = 1, 40 do
	for i = 1, 20000 do again = (again * 31 + i) % 1000000007 end
	assert(text[round] == string.format("%d", again), "round " .. round)
end
print("neighbour: " .. sum)
