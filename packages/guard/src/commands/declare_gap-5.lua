-- declare_gap: the partition starts again at another offset, and trusts nothing meanwhile (protocol 4; I3, I4, I6).
-- Nothing is fresh and no lease is granted until the first watermark record from the given offset on. What a view
-- that is there knows was applied in this Redis and stays true; a view that is gone begins with nothing.
--
--   KEYS[1..5]  view and generations
--   ARGV[1]     channel of the partition's feed
--   ARGV[2]     the offset to go on at, 16 hexadecimal digits
--   ARGV[3]     the cause, for the operator
--   ARGV[4]     the offset that the caller knows the view to expect, or '' when it found no view. If it is
--               another by now, another worker was here: nothing is done.
--   ARGV[5]     the newest epoch that the caller has met in any partition, 8 hexadecimal digits; zeros for none. A view
--               that is gone took its epoch with it, and a watermark of an abandoned one would close the gap below
--               invalidations of the epoch that runs, which lie before the given offset.
--
-- Returns { 'DECLARED' } or { 'CHANGED' }

-- @include partition
-- @include feed

local view = load_view()
local expected = ''
if view then expected = view.offset end
if expected ~= ARGV[4] then return { 'CHANGED' } end

if not view then
  redis.call('UNLINK', KEYS[2], KEYS[3], KEYS[4], KEYS[5])
  view = {
    format = 1,
    epoch = string.rep('0', 8),
    watermark = ORIGIN,
    newest = ORIGIN,
    horizon = ORIGIN,
    floors = {},
    beat = 0,
    current = 0,
    generations = {},
  }
end
view.epoch = max(view.epoch, ARGV[5])
view.offset = ARGV[2]
view.gap = ARGV[3]
save_view(view)
tell(ARGV[1], view, ARGV[2], {}, false)
return { 'DECLARED' }
