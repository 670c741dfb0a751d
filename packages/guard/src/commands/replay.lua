-- replay: applies floors and events of the log once more, as repairs (protocol 5; I2, I6). For an operator.
-- What is not newer than what is known changes nothing, so it can only make things fresher. Watermark, beat, epoch,
-- offset and gap stay: they say how far the worker is, and this is not the worker. N rises with an event beyond it, for
-- it covers every tombstone that may be evicted.
--
--   KEYS[1..5]  view and generations
--   KEYS[6..]   the cell of each event
--   ARGV[1]     channel of the partition's feed
--   ARGV[2]     start of an epoch, or ''
--   ARGV[3]     most tombstones in one generation
--   ARGV[4]     longest time in ms for which one generation is written to
--   ARGV[5]     number of floors f, then f pairs: keyspace, position
--   then        for each event: key, version, ms for which a stale value is retained (0 removes it)
--
-- Returns
--   { 'REPLAYED', outcomes }  one letter an event: r removed, s retained as stale, k kept (its label covers the
--                             version), a absent, o refused because its epoch is abandoned
--   { 'VIEW_MISSING' }        nothing was applied
--   { 'EPOCH_UNANNOUNCED' }   a record of an epoch that the view has not adopted; nothing was applied
--
-- Subscribers are told from where they stand to where they stand: the keys go, and nothing seems to be missing.

-- @include partition
-- @include cell
-- @include invalidation
-- @include feed

local epoch_start, floors = ARGV[2], tonumber(ARGV[5])
local first_event = 6 + 2 * floors

local view = load_view()
if not view then return { 'VIEW_MISSING' } end

local epoch = view.epoch
if epoch_of(epoch_start) > epoch then return { 'EPOCH_UNANNOUNCED' } end
for i = 0, floors - 1 do
  if epoch_of(ARGV[7 + 2 * i]) > epoch then return { 'EPOCH_UNANNOUNCED' } end
end
for at = first_event, #ARGV, 3 do
  if epoch_of(ARGV[at + 1]) > epoch then return { 'EPOCH_UNANNOUNCED' } end
end

notice_evicted(view)

local floors_rose = false
local function floor(keyspace, position)
  if epoch_of(position) == epoch and raise_floor(view, keyspace, position) then floors_rose = true end
end
floor('*', epoch_start)
for i = 0, floors - 1 do
  floor(ARGV[6 + 2 * i], ARGV[7 + 2 * i])
end

local limits = { keys = tonumber(ARGV[3]), ms = tonumber(ARGV[4]), now = now_ms() }
local outcomes, keys = {}, {}
for number = 1, #KEYS - 5 do
  local at = first_event + 3 * (number - 1)
  local key, version, cell_key = ARGV[at], ARGV[at + 1], KEYS[5 + number]
  if epoch_of(version) < epoch then
    outcomes[number] = 'o'
  else
    bury(view, limits, key, version)
    keys[#keys + 1] = key
    outcomes[number] = invalidate(cell_key, load_or_drop(cell_key), version, tonumber(ARGV[at + 2]))
  end
end

save_view(view)
tell(ARGV[1], view, view.offset, keys, floors_rose)
return { 'REPLAYED', table.concat(outcomes) }
