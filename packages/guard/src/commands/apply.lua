-- apply: one batch of one partition, all of it or nothing (protocol 5.1, 5.2, 5.6; I2, I3, I4, I6).
--
--   KEYS[1..5]  view and generations
--   KEYS[6..]   the cell of each event
--   ARGV[1]     channel of the partition's feed
--   ARGV[2]     offset of the batch's first record, 16 hexadecimal digits
--   ARGV[3]     offset after its last record
--   ARGV[4]     start of the epoch that the batch announces, or ''. It precedes all else in the batch.
--   ARGV[5]     newest watermark in the batch, or ''
--   ARGV[6]     time in ms before which every visible commit is covered by that watermark
--   ARGV[7]     most tombstones in one generation
--   ARGV[8]     longest time in ms for which one generation is written to
--   ARGV[9]     number of floors f, then f pairs: keyspace, position
--   then        for each event: key, version, ms for which a stale value is retained (0 removes it)
--   then        for each event that says what the value is now: its number among the events, counted from 1,
--               keyspace, time to live in ms, the value
--
-- Returns
--   { 'APPLIED', outcomes }   one letter an event: u updated, r removed, s retained as stale, k kept (its label covers
--                             the version), a absent, o refused because its epoch is abandoned
--   { 'SEEK', offset }        the batch does not start at the offset that the view expects; nothing was applied.
--                             Above it is a hole. Below it is a worker that lost the partition: its watermarks
--                             may be ahead of a publisher's restart, or of a gap, that this view has yet to pass.
--   { 'VIEW_MISSING' }        a gap; nothing was applied
--   { 'EPOCH_UNANNOUNCED' }   a record of an epoch whose start was never seen: a gap; nothing was applied
--
-- No position, floor, time or offset of the view ever goes back.
--
-- A value is updated in place, to the row as of v with the label [after(v), after(v)], only where all of this holds.
-- Otherwise the event invalidates.
--   a value is there, live or retained, that does not cover v
--                             nobody reads what is not cached; and v once more, which an update covers, keeps it
--   its U <= v                a wider value may already hold a commit after v, and would go back to v
--   after(v) >= required      whoever stores asks this (fill-6.lua). After a publisher's restart events come once more:
--                             below a tombstone of the key, the horizon or a floor, the row as of v may lack what was
--                             applied since, and a value that v2 > v retained as stale would be live again, for good
--   no gap is open            what was missed may be newer than v, and its floor is not known yet
-- A lease that is out stays: its holder's fill is judged by the tombstone, and by the label that is there now.

-- @include partition
-- @include cell
-- @include invalidation
-- @include feed

local from, next_offset, epoch_start, watermark = ARGV[2], ARGV[3], ARGV[4], ARGV[5]
local beat, floors = tonumber(ARGV[6]), tonumber(ARGV[9])
local first_event = 10 + 2 * floors

local view = load_view()
if not view then return { 'VIEW_MISSING' } end
if from ~= view.offset then return { 'SEEK', view.offset } end

local epoch = view.epoch
if epoch_start ~= '' then epoch = max(epoch, epoch_of(epoch_start)) end

-- While a gap is open nothing is trusted, so the first watermark may bring any epoch that is not older.
local function unannounced(position)
  return position ~= '' and not view.gap and epoch_of(position) > epoch
end
if unannounced(watermark) then return { 'EPOCH_UNANNOUNCED' } end
for i = 0, floors - 1 do
  if unannounced(ARGV[11 + 2 * i]) then return { 'EPOCH_UNANNOUNCED' } end
end
for i = 6, #KEYS do
  if unannounced(ARGV[first_event + 3 * (i - 6) + 1]) then return { 'EPOCH_UNANNOUNCED' } end
end

view.epoch = epoch
notice_evicted(view)

local floors_rose = false
local function floor(keyspace, position)
  if raise_floor(view, keyspace, position) then floors_rose = true end
end
if epoch_start ~= '' and epoch_of(epoch_start) == epoch then floor('*', epoch_start) end
for i = 0, floors - 1 do
  local position = ARGV[11 + 2 * i]
  if epoch_of(position) >= epoch then floor(ARGV[10 + 2 * i], position) end
end

-- Number of an event -> where its update begins.
local updates = {}
for at = first_event + 3 * (#KEYS - 5), #ARGV, 4 do
  updates[tonumber(ARGV[at])] = at
end

local function may_update(cell, keyspace, key, version)
  if view.gap or cell.state == '-' or string.sub(cell.label, 25) > version then return false end
  return after(version) >= required(view, keyspace, key)
end

local function update(cell_key, cell, version, ttl, value)
  cell.state, cell.label, cell.loaded, cell.value = 'L', string.rep(after(version), 2), NO_LOAD_TIME, value
  save_cell(cell_key, cell, ttl)
  return 'u'
end

local limits = { keys = tonumber(ARGV[7]), ms = tonumber(ARGV[8]), now = now_ms() }
local outcomes, keys = {}, {}

local function apply(number, key, version, retain_ms)
  bury(view, limits, key, version)
  keys[#keys + 1] = key
  local cell_key, at = KEYS[5 + number], updates[number]
  local cell = load_or_drop(cell_key)
  if at and cell and may_update(cell, ARGV[at + 1], key, version) then
    return update(cell_key, cell, version, ARGV[at + 2], ARGV[at + 3])
  end
  return invalidate(cell_key, cell, version, retain_ms)
end

for number = 1, #KEYS - 5 do
  local at = first_event + 3 * (number - 1)
  local version = ARGV[at + 1]
  if epoch_of(version) < epoch then
    outcomes[number] = 'o'
  else
    outcomes[number] = apply(number, ARGV[at], version, tonumber(ARGV[at + 2]))
  end
end

if watermark ~= '' and epoch_of(watermark) >= epoch then
  if view.gap then
    -- The first watermark after a gap: what it covers was missed, what it does not cover comes after it.
    view.gap = nil
    view.epoch = epoch_of(watermark)
    view.horizon = max(view.horizon, watermark)
    floor('*', watermark)
  end
  view.watermark = max(view.watermark, watermark)
  view.beat = math.max(view.beat, beat)
end
view.offset = max(view.offset, next_offset)
save_view(view)
tell(ARGV[1], view, from, keys, floors_rose)
return { 'APPLIED', table.concat(outcomes) }
