-- require: where a label must begin to lack nothing that is known of some keys (protocol 6.2). For values that are made of
-- several rows: their cell knows the invalidations of its own key alone.
--
-- It writes nothing, so a Redis that refuses writes answers it all the same. What a command that writes would notice of
-- evicted tombstones counts in the answer, and is left for that command to save.
--
--   KEYS[1..5]  view and generations
--   ARGV        for each key: key, keyspace
--
-- Returns
--   { 'REQUIRED', view, position... }  the view as it is stored, and a position for each key: what a lease would require
--   { 'VIEW_MISSING' }, { 'GAP' }      nothing can be said of this partition now

-- @include partition

local raw = redis.pcall('GET', KEYS[1])
local view = load_view()
if not view then return { 'VIEW_MISSING' } end
if view.gap then return { 'GAP' } end
notice_evicted(view)

local answer = { 'REQUIRED', raw }
for at = 1, #ARGV, 2 do
  answer[#answer + 1] = required(view, ARGV[at + 1], ARGV[at])
end
return answer
