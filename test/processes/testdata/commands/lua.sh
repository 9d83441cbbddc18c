# needs lua
# Lua's own stacks: errors through pcall, coroutines, io.popen, pipes on both sides.
lua - <<'EOD'
print(pcall(error, "boom", 0))
print(select(2, pcall(function() local t = nil; return t.x end)))
local function gen(n) return coroutine.wrap(function() for i = 1, n do coroutine.yield(i) end end) end
local s = 0
for i in gen(2000) do s = s + i end
print("coroutines", s)
local function deep(n) if n == 0 then error({code = 7}) end return deep(n - 1) + 1 end
for _ = 1, 200 do local ok, e = pcall(deep, 50); assert(not ok and e.code == 7) end
print("deep errors caught")
print(xpcall(function() error("x", 0) end, function(m) return "handled " .. m end))
local p = io.popen("i=0; while [ $i -lt 50 ]; do echo $i; i=$((i + 1)); done; exit 3")
local n = 0
for l in p:lines() do n = n + tonumber(l) end
print("popen", n, p:close())
local q = io.popen("while read l; do echo \"child read $l\"; done", "w")
for i = 1, 3 do q:write(i, "\n") end
print(q:close())
local co = coroutine.create(function(a) local b = coroutine.yield(a + 1); error("in coroutine " .. b, 0) end)
print(coroutine.resume(co, 1)) print(coroutine.resume(co, 2)) print(coroutine.resume(co, 3))
print(string.format("%5.2f %q", math.pi, "a\nb"), #string.rep("x", 1e5))
local t = {}
for i = 1, 3000 do t[i] = (i * 7919) % 3001 end
table.sort(t, function(a, b) return a > b end)
print(t[1], t[1500], t[3000])
os.exit(5)
EOD
echo "status $?"
i=0; while [ $i -lt 100 ]; do echo "$i $((i * i))"; i=$((i + 1)); done |
	lua -e 'for l in io.lines() do local a, b = l:match("(%d+) (%d+)"); if a % 20 == 0 then print(a, b) end end' |
	while read a b; do echo "$a squared is $b"; done
lua -e 'error("ends")' 2>/dev/null; echo "error $?"
