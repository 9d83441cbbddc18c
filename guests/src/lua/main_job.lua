-- The Lua job: closures, metatables, string library, sorting with a Lua
-- function called back from C, recursion, garbage. No pcall and no coroutine:
-- see lua_throw.h. usage: lua main_job.lua SCALE

local scale = math.tointeger(tonumber(arg[1] or 10))
local digest = 0xcbf29ce484222325

local function say(fmt, ...)
	local line = string.format(fmt, ...)
	for i = 1, #line do
		digest = (digest ~ line:byte(i)) * 0x100000001b3
	end
	print(line)
end

local x = 0x57a515
local function rng(n)
	x = x ~ (x << 13)
	x = x ~ (x >> 7)
	x = x ~ (x << 17)
	return (x >> 11) % n
end

-- Queens by recursion, each solution handed to a closure.
local function queens(n, visit)
	local cols, up, down, placed = {}, {}, {}, {}
	local function place(row)
		if row > n then
			return visit(placed)
		end
		for c = 1, n do
			local u, d = row + c, row - c
			if not cols[c] and not up[u] and not down[d] then
				cols[c], up[u], down[d], placed[row] = true, true, true, c
				place(row + 1)
				cols[c], up[u], down[d] = nil, nil, nil
			end
		end
	end
	place(1)
end

-- A class with operators: integers of any size, base 10^7.
local Big = {}
Big.__index = Big
local BASE = 10000000

local function big(n)
	local b = setmetatable({}, Big)
	repeat
		b[#b + 1] = n % BASE
		n = n // BASE
	until n == 0
	return b
end

function Big.__add(a, b)
	local r, carry = setmetatable({}, Big), 0
	for i = 1, math.max(#a, #b) do
		local v = (a[i] or 0) + (b[i] or 0) + carry
		r[i], carry = v % BASE, v // BASE
	end
	if carry > 0 then
		r[#r + 1] = carry
	end
	return r
end

function Big.__mul(a, b)
	local r = setmetatable({}, Big)
	for i = 1, #a + #b do
		r[i] = 0
	end
	for i = 1, #a do
		local carry = 0
		for j = 1, #b do
			local v = r[i + j - 1] + a[i] * b[j] + carry
			r[i + j - 1], carry = v % BASE, v // BASE
		end
		r[i + #b] = r[i + #b] + carry
	end
	while #r > 1 and r[#r] == 0 do
		r[#r] = nil
	end
	return r
end

function Big.__tostring(a)
	local parts = { tostring(a[#a]) }
	for i = #a - 1, 1, -1 do
		parts[#parts + 1] = string.format("%07d", a[i])
	end
	return table.concat(parts)
end

local function factorial(n)
	return n < 2 and big(1) or big(n) * factorial(n - 1)
end

-- Trees as nested tables, walked by an iterator made of closures.
local function grow(depth)
	if depth == 0 then
		return rng(100)
	end
	return { left = grow(depth - 1), right = grow(depth - 1), name = "node" .. depth }
end

local function leaves(tree)
	local stack = { tree }
	return function()
		while #stack > 0 do
			local t = table.remove(stack)
			if type(t) ~= "table" then
				return t
			end
			stack[#stack + 1] = t.right
			stack[#stack + 1] = t.left
		end
	end
end

local function sum(tree)
	if type(tree) == "number" then
		return tree
	end
	return sum(tree.left) * 3 % 65537 + sum(tree.right)
end

local function words(n)
	local w = {}
	for i = 1, n do
		local s = {}
		for j = 1, 3 + rng(6) do
			s[j] = string.char(97 + rng(26))
		end
		w[i] = table.concat(s)
	end
	return w
end

for round = 1, scale do
	local count, last = 0, ""
	queens(7, function(p)
		count = count + 1
		last = table.concat(p, ",")
	end)
	say("lua %d/%d queens %d %s", round, scale, count, last)

	local f = tostring(factorial(120 + round))
	local a, b = big(0), big(1)
	for _ = 1, 400 do
		a, b = b, a + b
	end
	say("lua %d/%d factorial %s…%s (%d) fib %s", round, scale, f:sub(1, 10), f:sub(-40, -30), #f, tostring(a):sub(1, 30))

	local w = words(1500)
	table.sort(w, function(p, q)
		return p:reverse() < q:reverse()
	end)
	local freq, text = {}, table.concat(w, " ")
	for word in text:gmatch("%a+") do
		local k = word:sub(1, 2)
		freq[k] = (freq[k] or 0) + #word
	end
	local keys = {}
	for k, v in pairs(freq) do
		keys[#keys + 1] = k .. v
	end
	table.sort(keys)
	local swapped, n = text:gsub("(%a)(%a+)ing?", "%2%1<%0>")
	say("lua %d/%d words %s %s %d %d %s", round, scale, w[1], w[#w], #keys, n, swapped:sub(100, 120))

	local tree, leafsum = grow(11), 0
	for v in leaves(tree) do
		leafsum = leafsum * 31 % 1000003 + v
	end
	say("lua %d/%d tree %d %d %.6f", round, scale, sum(tree), leafsum, math.sin(leafsum))
end
print(string.format("lua digest %016x", digest))
