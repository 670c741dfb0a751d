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

local function is_hex(field, digits)
  return type(field) == 'string' and #field == digits and not string.find(field, '[^0-9a-f]')
end

-- Whether the fields are those of a view. view.ts refuses the same: a view that readers refuse and that workers went
-- on writing would never be mended; one that both refuse is a gap, and is written anew.
local function is_view(view)
  if type(view) ~= 'table' or view.format ~= 1 then return false end
  if not (is_hex(view.watermark, 24) and is_hex(view.newest, 24) and is_hex(view.horizon, 24)) then return false end
  if not (is_hex(view.epoch, 8) and is_hex(view.offset, 16)) then return false end
  if type(view.beat) ~= 'number' or type(view.current) ~= 'number' then return false end
  if type(view.floors) ~= 'table' or type(view.generations) ~= 'table' then return false end
  for _, floor in pairs(view.floors) do
    if not is_hex(floor, 24) then return false end
  end
  return view.gap == nil or type(view.gap) == 'string'
end

-- The view, or nil when it is gone or cannot be read: both are a gap.
local function load_view()
  local raw = redis.pcall('GET', KEYS[1])
  if type(raw) ~= 'string' then return nil end
  local readable, view = pcall(cjson.decode, raw)
  if not readable or not is_view(view) then return nil end
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
