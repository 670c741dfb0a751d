-- release: gives a lease back without a value, because the load failed. Others need not wait for its end.
--
--   KEYS[1]  the cell
--   ARGV[1]  id of the lease
--
-- Returns { 'RELEASED' } or { 'LEASE_LOST' }

-- @include cell

local cell = load_cell(KEYS[1])
if not cell or cell.lease ~= ARGV[1] then return { 'LEASE_LOST' } end
cell.lease = nil
save_cell(KEYS[1], cell, math.max(1, redis.call('PTTL', KEYS[1])))
return { 'RELEASED' }
