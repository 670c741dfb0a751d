-- inspect: all that this Redis knows of one key, at one instant. For an operator; it writes nothing.
--
--   KEYS[1..5]  view and generations
--   KEYS[6]     the cell
--   ARGV[1]     key
--   ARGV[2]     bytes of a cell before its value, at most
--
-- Returns { view, head, bytes, remaining, now, generations }
--   view        as it is stored; nil when there is none
--   head        the beginning of the cell, without the value if there is no lease; nil when there is none
--   bytes       length of the whole cell
--   remaining   its time to live in ms, negative when there is none
--   now         this server's time in ms
--   generations for each of the four: its tombstone of the key, or nil; how many keys it holds
-- What is of another type than it should be is an empty string, which nothing takes for a view or a cell.

-- @include partition

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

local head, bytes = false, 0
if redis.call('EXISTS', KEYS[6]) == 1 then
  head = unless_foreign(redis.pcall('GETRANGE', KEYS[6], 0, tonumber(ARGV[2]) - 1), '')
  bytes = unless_foreign(redis.pcall('STRLEN', KEYS[6]), 0)
end
return {
  unless_foreign(redis.pcall('GET', KEYS[1]), ''),
  head,
  bytes,
  redis.call('PTTL', KEYS[6]),
  now_ms(),
  generations,
}
