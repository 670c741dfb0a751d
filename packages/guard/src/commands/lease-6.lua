-- lease: the right to load one key, given to one holder at a time (protocol 6.2).
--
--   KEYS[1..5]  view and generations
--   KEYS[6]     the cell
--   ARGV[1]     key
--   ARGV[2]     keyspace
--   ARGV[3]     id of the lease, 16 hexadecimal digits
--   ARGV[4]     time in ms after which another may take it; sooner where a value is there that goes before
--   ARGV[5]     where the label began of the live value that the caller could not use, or ''
--
-- Returns
--   { 'GRANTED', required, granted }  a source must have reached `required`; everything that `granted` covers was
--                                     visible on the primary before this answer, so a load there is labelled by it
--   { 'CHANGED' }                     somebody has stored a value meanwhile: read again
--   { 'BUSY', ms }                    another holds the lease, for at most that long
--   { 'VIEW_MISSING' }, { 'GAP' }     nothing can be cached in this partition now

-- @include partition
-- @include cell

local view = load_view()
if not view then return { 'VIEW_MISSING' } end
if view.gap then return { 'GAP' } end
if notice_evicted(view) then save_view(view) end

local cell = load_cell(KEYS[6])
local position = required(view, ARGV[2], ARGV[1])
if cell and cell.state == 'L' and cell.low >= position and cell.low ~= ARGV[5] then return { 'CHANGED' } end

local now = now_ms()
-- A command whose answer was lost on the way is sent again: the holder is not kept waiting for itself.
local taken = cell and cell.lease and cell.lease ~= ARGV[3] and cell.lease_end > now
if taken then return { 'BUSY', cell.lease_end - now } end

-- A value keeps the time that it has, and a lease goes with it: else leases whose loads fail, one after another, would
-- keep a retained value for ever.
local ttl = ARGV[4]
if cell and cell.state ~= '-' then ttl = math.max(1, redis.call('PTTL', KEYS[6])) end
cell = cell or without_value({})
cell.lease = ARGV[3]
cell.lease_end = now + tonumber(ARGV[4])
save_cell(KEYS[6], cell, ttl)
return { 'GRANTED', position, max(position, max(view.watermark, after(view.newest))) }
