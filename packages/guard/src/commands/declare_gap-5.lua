-- declare_gap: a view that trusts nothing, from which the partition starts again (protocol 4; I3, I4).
-- Nothing is fresh and no lease is granted until the first watermark record from the given offset on.
--
--   KEYS[1..5]  view and generations
--   ARGV[1]     the offset to go on at, 16 hexadecimal digits
--   ARGV[2]     the cause, for the operator
--   ARGV[3]     the offset that the caller knows the view to expect, or '' when it found no view. If it is
--               another by now, another worker was here: nothing is done.
--
-- Returns { 'DECLARED' } or { 'CHANGED' }

-- @include partition

local view = load_view()
local expected = ''
if view then expected = view.offset end
if expected ~= ARGV[3] then return { 'CHANGED' } end

redis.call('UNLINK', KEYS[2], KEYS[3], KEYS[4], KEYS[5])
local epoch = string.rep('0', 8)
if view then epoch = view.epoch end
save_view({
  format = 1,
  epoch = epoch,
  watermark = ORIGIN,
  newest = ORIGIN,
  horizon = ORIGIN,
  floors = {},
  offset = ARGV[1],
  beat = 0,
  current = 0,
  generations = {},
  gap = ARGV[2],
})
return { 'DECLARED' }
