-- apply: one batch of one partition, all of it or nothing (protocol 5.1, 5.2; I2, I3, I4, I6).
--
--   KEYS[1..5]  view and generations
--   KEYS[6..]   the cell of each event
--   ARGV[1]     offset of the batch's first record, 16 hexadecimal digits
--   ARGV[2]     offset after its last record
--   ARGV[3]     start of the epoch that the batch announces, or ''. It precedes all else in the batch.
--   ARGV[4]     newest watermark in the batch, or ''
--   ARGV[5]     time in ms before which every visible commit is covered by that watermark
--   ARGV[6]     most tombstones in one generation
--   ARGV[7]     longest time in ms for which one generation is written to
--   ARGV[8]     number of floors f, then f pairs: keyspace, position
--   then        for each event: key, version, ms for which a stale value is retained (0 removes it)
--
-- Returns
--   { 'APPLIED', outcomes }   one letter an event: r removed, s retained as stale, k kept (its label covers the
--                             version), a absent, o refused because its epoch is abandoned
--   { 'SEEK', offset }        the batch does not start at the offset that the view expects; nothing was applied.
--                             Above it is a hole. Below it is a worker that lost the partition: its watermarks
--                             may be ahead of a publisher's restart, or of a gap, that this view has yet to pass.
--   { 'VIEW_MISSING' }        a gap; nothing was applied
--   { 'EPOCH_UNANNOUNCED' }   a record of an epoch whose start was never seen: a gap; nothing was applied
--
-- No position, floor, time or offset of the view ever goes back.

-- @include partition
-- @include cell

local from, next_offset, epoch_start, watermark = ARGV[1], ARGV[2], ARGV[3], ARGV[4]
local beat, generation_limit, generation_ms = tonumber(ARGV[5]), tonumber(ARGV[6]), tonumber(ARGV[7])
local floors = tonumber(ARGV[8])
local first_event = 9 + 2 * floors

local view = load_view()
if not view then return { 'VIEW_MISSING' } end
if from ~= view.offset then return { 'SEEK', view.offset } end

local function epoch_of(version)
  return string.sub(version, 1, 8)
end

local epoch = view.epoch
if epoch_start ~= '' then epoch = max(epoch, epoch_of(epoch_start)) end

-- While a gap is open nothing is trusted, so the first watermark may bring any epoch that is not older.
local function unannounced(position)
  return position ~= '' and not view.gap and epoch_of(position) > epoch
end
if unannounced(watermark) then return { 'EPOCH_UNANNOUNCED' } end
for i = 0, floors - 1 do
  if unannounced(ARGV[10 + 2 * i]) then return { 'EPOCH_UNANNOUNCED' } end
end
for i = 6, #KEYS do
  if unannounced(ARGV[first_event + 3 * (i - 6) + 1]) then return { 'EPOCH_UNANNOUNCED' } end
end

view.epoch = epoch
notice_evicted(view)

local function raise_floor(keyspace, position)
  view.floors[keyspace] = max(view.floors[keyspace] or ORIGIN, position)
end
if epoch_start ~= '' and epoch_of(epoch_start) == epoch then raise_floor('*', epoch_start) end
for i = 0, floors - 1 do
  local position = ARGV[10 + 2 * i]
  if epoch_of(position) >= epoch then raise_floor(ARGV[9 + 2 * i], position) end
end

local now = now_ms()

-- The generation to write to. When it is full or old the next slot takes over, and what that slot held is dropped:
-- the horizon rises over it, in this same script.
local function current_generation()
  local slot = tostring(view.current)
  local generation = view.generations[slot]
  local full = generation
    and (redis.call('HLEN', generation_key(slot)) >= generation_limit or now - generation.since >= generation_ms)
  if full then
    slot = tostring((view.current + 1) % GENERATIONS)
    view.current = tonumber(slot)
    local oldest = view.generations[slot]
    if oldest then
      view.horizon = max(view.horizon, after(oldest.newest))
      redis.call('UNLINK', generation_key(slot))
      view.generations[slot] = nil
    end
  end
  if not view.generations[slot] then view.generations[slot] = { since = now, newest = ORIGIN } end
  return slot, view.generations[slot]
end

local function bury(key, version)
  local slot, generation = current_generation()
  local hash = generation_key(slot)
  local known = redis.call('HGET', hash, key)
  if not known or known < version then redis.call('HSET', hash, key, version) end
  generation.newest = max(generation.newest, version)
end

local function invalidate(cell_key, version, retain_ms)
  local cell, unreadable = load_cell(cell_key)
  if unreadable then redis.call('DEL', cell_key) end
  if not cell then return 'a' end
  if cell.state ~= 'L' then return 'a' end
  if version < cell.low then return 'k' end
  if retain_ms > 0 then
    cell.state = 'S'
    save_cell(cell_key, cell, retain_ms)
    return 's'
  end
  save_cell(cell_key, without_value(cell), math.max(1, redis.call('PTTL', cell_key)))
  return 'r'
end

local outcomes = {}
for i = 6, #KEYS do
  local at = first_event + 3 * (i - 6)
  local key, version = ARGV[at], ARGV[at + 1]
  if epoch_of(version) < epoch then
    outcomes[#outcomes + 1] = 'o'
  else
    bury(key, version)
    outcomes[#outcomes + 1] = invalidate(KEYS[i], version, tonumber(ARGV[at + 2]))
    view.newest = max(view.newest, version)
  end
end

if watermark ~= '' and epoch_of(watermark) >= epoch then
  if view.gap then
    -- The first watermark after a gap: what it covers was missed, what it does not cover comes after it.
    view.gap = nil
    view.epoch = epoch_of(watermark)
    view.horizon = max(view.horizon, watermark)
    raise_floor('*', watermark)
  end
  view.watermark = max(view.watermark, watermark)
  view.beat = math.max(view.beat, beat)
end
view.offset = max(view.offset, next_offset)
save_view(view)
return { 'APPLIED', table.concat(outcomes) }
