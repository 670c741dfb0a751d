-- A partition in Redis, as every command sees it.
--   KEYS[1]     the view, a JSON string (view.ts documents its fields)
--   KEYS[2..5]  the four tombstone generations, hashes of key -> version
-- Versions and positions are 24 hexadecimal digits of lower case and are compared as strings, because Lua's
-- numbers are doubles. Times are milliseconds of this server's clock; they bound ages and never order anything.

local GENERATIONS = 4
local ORIGIN = string.rep('0', 24)

local function now_ms()
  local time = redis.call('TIME')
  return tonumber(time[1]) * 1000 + math.floor(tonumber(time[2]) / 1000)
end

local function max(a, b)
  if a > b then return a end
  return b
end

-- The smallest position that covers version v.
local function after(v)
  local head, digit, ones = string.match(v, '^(.-)([0-9a-e])(f*)$')
  return head .. string.format('%x', tonumber(digit, 16) + 1) .. string.rep('0', #ones)
end

-- The view, or nil when it is gone or cannot be read: both are a gap.
local function load_view()
  local raw = redis.call('GET', KEYS[1])
  if not raw then return nil end
  local readable, view = pcall(cjson.decode, raw)
  if not readable or type(view) ~= 'table' or view.format ~= 1 then return nil end
  return view
end

local function save_view(view)
  redis.call('SET', KEYS[1], cjson.encode(view))
end

local function generation_key(slot)
  return KEYS[2 + tonumber(slot)]
end

-- A generation that the view names and that is gone was evicted: its tombstones may have been as new as N.
local function notice_evicted(view)
  local noticed = false
  for slot in pairs(view.generations) do
    if redis.call('EXISTS', generation_key(slot)) == 0 then
      view.generations[slot] = nil
      view.horizon = max(view.horizon, after(view.newest))
      noticed = true
    end
  end
  return noticed
end

local function floor_of(view, keyspace)
  return max(view.floors['*'] or ORIGIN, view.floors[keyspace] or ORIGIN)
end

-- What a label must start at, or above, to be stored under this key now.
local function required(view, keyspace, key)
  local position = max(view.horizon, floor_of(view, keyspace))
  for slot in pairs(view.generations) do
    local version = redis.call('HGET', generation_key(slot), key)
    if version then position = max(position, after(version)) end
  end
  return position
end
