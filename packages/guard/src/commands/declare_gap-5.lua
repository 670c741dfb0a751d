-- declare_gap: the partition starts again at another offset, and trusts nothing meanwhile (protocol 4; I3, I4, I6).
-- Nothing is fresh and no lease is granted until the first watermark record from the given offset on. What a view
-- that is there knows was applied in this Redis and stays true; a view that is gone begins with nothing.
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
view.offset = ARGV[1]
view.gap = ARGV[2]
save_view(view)
return { 'DECLARED' }
