-- shed: makes room in a Redis that is full and evicts nothing by itself (protocol 5.1, 5.4; I2, I6). All that it drops
-- could have been evicted just as well. It drops before it writes: Redis refuses for want of memory only what would be
-- a script's first write. DEL, not UNLINK: the next command needs the room.
--
--   KEYS[1..5]  view and generations
--   KEYS[6..]   cells to drop
--   ARGV[1]     '1' to drop the tombstones too, all but the generation that is written to; the horizon rises over them
--
-- Returns { 'SHED', number of keys dropped }

-- @include partition

local dropped = 0
for i = 6, #KEYS do
  dropped = dropped + redis.call('DEL', KEYS[i])
end

local view = ARGV[1] == '1' and load_view()
if view then
  local named = 0
  for slot, generation in pairs(view.generations) do
    if slot ~= tostring(view.current) then
      dropped = dropped + redis.call('DEL', generation_key(slot))
      view.horizon = max(view.horizon, after(generation.newest))
      view.generations[slot] = nil
      named = named + 1
    end
  end
  if named > 0 then save_view(view) end
end
return { 'SHED', dropped }
