-- inspect: all that this Redis knows of one key, at one instant. For an operator; it writes nothing.
--
--   KEYS[1..5]  view and generations
--   KEYS[6]     the cell
--   ARGV[1]     key
--   ARGV[2]     bytes of a cell before its value, at most
--
-- Returns { view, head, value, remaining, now, generations }
--   view        as it is stored; nil when there is none
--   head        the beginning of the cell, without the value if there is no lease; nil when there is none
--   value       what is said of the value beside it: codec, time of storing, cost, number of dependencies, and bytes without
--               all these (payload.ts); nil when there is none, or what is there is none
--   remaining   its time to live in ms, negative when there is none
--   now         this server's time in ms
--   generations for each of the four: its tombstone of the key, or nil; how many keys it holds
-- What is of another type than it should be is an empty string, which nothing takes for a view or a cell.

-- @include partition
-- @include cell

local function unless_foreign(answer, foreign)
  if type(answer) == 'table' then return foreign end
  return answer
end

local generations = {}
for slot = 0, GENERATIONS - 1 do
  local key = generation_key(slot)
  generations[slot + 1] = {
    unless_foreign(redis.pcall('HGET', key, ARGV[1]), ''),
    unless_foreign(redis.pcall('HLEN', key), 0),
  }
end

-- The one command that looks inside a value, and no further than to where the app's own bytes begin.
local function about(value)
  if #value < 14 or string.byte(value) ~= 1 then return false end
  local _, codec, stored_at, cost, dependencies = struct.unpack('>BBI6I4I2', value)
  local at = 15
  for _ = 1, dependencies do
    if at + 1 > #value then return false end
    at = at + 2 + struct.unpack('>I2', value, at)
  end
  if at > #value + 1 then return false end
  return { codec, stored_at, cost, dependencies, #value + 1 - at }
end

local head, value = false, false
if redis.call('EXISTS', KEYS[6]) == 1 then
  head = unless_foreign(redis.pcall('GETRANGE', KEYS[6], 0, tonumber(ARGV[2]) - 1), '')
  local cell = load_cell(KEYS[6])
  if cell and cell.state ~= '-' then value = about(cell.value) end
end
return {
  unless_foreign(redis.pcall('GET', KEYS[1]), ''),
  head,
  value,
  redis.call('PTTL', KEYS[6]),
  now_ms(),
  generations,
}
