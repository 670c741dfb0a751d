-- fill: stores a loaded value by compare-and-set (protocol 6.4; I1, I2). It ends the lease whatever it answers.
--
--   KEYS[1..5]  view and generations
--   KEYS[6]     the cell
--   ARGV[1]     key
--   ARGV[2]     keyspace
--   ARGV[3]     id of the lease
--   ARGV[4]     label L
--   ARGV[5]     label U
--   ARGV[6]     time in ms of a load from the primary, 13 digits; zeros for a load from a replica
--   ARGV[7]     time to live in ms
--   ARGV[8]     the value
--
-- Returns
--   { 'STORED' }
--   { 'STALE', required }         a newer invalidation has come: the label would not cover it
--   { 'OLDER' }                   a live value is there whose label begins later
--   { 'LEASE_LOST' }              it was evicted or is another's; one that merely ended, and nobody took, still stores
--   { 'VIEW_MISSING' }, { 'GAP' }

-- @include partition
-- @include cell

local cell = load_cell(KEYS[6])
if not cell or cell.lease ~= ARGV[3] then return { 'LEASE_LOST' } end
cell.lease = nil

local function refuse(...)
  save_cell(KEYS[6], cell, math.max(1, redis.call('PTTL', KEYS[6])))
  return { ... }
end

local view = load_view()
if not view then return refuse('VIEW_MISSING') end
if view.gap then return refuse('GAP') end
if notice_evicted(view) then save_view(view) end

local low = ARGV[4]
local position = required(view, ARGV[2], ARGV[1])
if low < position then return refuse('STALE', position) end
if cell.state == 'L' and low < cell.low then return refuse('OLDER') end

save_cell(KEYS[6], { state = 'L', label = low .. ARGV[5], loaded = ARGV[6], value = ARGV[8] }, ARGV[7])
return { 'STORED' }
