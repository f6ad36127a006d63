-- SPDX-License-Identifier: MIT
-- compute.lua - what needs no system call, but for memory.

local function fib(n)
	return n < 2 and n or fib(n - 1) + fib(n - 2)
end

measure("fib", 1, function() assert(fib(20) == 6765) end)

measure("strings", 1, function()
	local parts = {}
	for i = 1, 2000 do
		parts[#parts + 1] = string.format("%d:%s", i, ("x"):rep(i % 16))
	end
	local text = table.concat(parts, ",")
	assert(text:gsub("x+", "y"):len() > 2000)
	assert(select(2, text:gsub("%d+", "%0")) == 2000)
end)

measure("sort", 1, function()
	local list, seed = {}, 42
	for i = 1, 3000 do
		seed = (seed * 1103515245 + 12345) % 2147483648
		list[i] = seed
	end
	table.sort(list)
	assert(list[1] <= list[2])
end)

measure("tables", 1, function()
	local people = {}
	for i = 1, 3000 do
		people[i] = { name = "n" .. i, age = i % 90, tags = { i, i + 1 } }
	end
	local sum = 0
	for _, p in ipairs(people) do sum = sum + p.age + #p.tags end
	assert(sum > 0)
end)

-- Five bodies, as in the benchmarks game.
local function bodies()
	return {
		{ 0, 0, 0, 0, 0, 0, 39.47841760435743 },
		{ 4.84143144246472, -1.16032004402742, -0.103622044471123, 0.606326392995832, 2.81198684491626,
		  -0.0252183616598876, 0.0376936749096266 },
		{ 8.34336671824458, 4.1247985641243, -0.403523417114321, -1.01077434617879, 1.82566237123041,
		  0.00841576137658415, 0.0112863261319688 },
		{ 12.8943695621391, -15.1111514016986, -0.223307578892656, 1.08279100644153, 0.868713018169608,
		  -0.0108326374013636, 0.0017237240570597 },
		{ 15.3796971148509, -25.919314609988, 0.179258772950371, 0.979090732243898, 0.594698998647676,
		  -0.0347559555040781, 0.00203368686992463 },
	}
end

local function advance(list, dt)
	for i = 1, #list do
		local a = list[i]
		for j = i + 1, #list do
			local b = list[j]
			local dx, dy, dz = a[1] - b[1], a[2] - b[2], a[3] - b[3]
			local d2 = dx * dx + dy * dy + dz * dz
			local mag = dt / (d2 * math.sqrt(d2))
			a[4], a[5], a[6] = a[4] - dx * b[7] * mag, a[5] - dy * b[7] * mag, a[6] - dz * b[7] * mag
			b[4], b[5], b[6] = b[4] + dx * a[7] * mag, b[5] + dy * a[7] * mag, b[6] + dz * a[7] * mag
		end
	end
	for _, a in ipairs(list) do
		a[1], a[2], a[3] = a[1] + dt * a[4], a[2] + dt * a[5], a[3] + dt * a[6]
	end
end

measure("nbody", 1, function()
	local list = bodies()
	for _ = 1, 300 do advance(list, 0.01) end
	assert(list[1][1] ~= 0)
end)
