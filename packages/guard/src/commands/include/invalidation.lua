-- What an invalidation, a floor and a tombstone do to a partition, for every command that applies them (protocol 5.1).

local function epoch_of(version)
  return string.sub(version, 1, 8)
end

-- Whether it rose.
local function raise_floor(view, keyspace, position)
  local floor = view.floors[keyspace]
  if floor and position <= floor then return false end
  view.floors[keyspace] = position
  return true
end

-- The generation to write to. When it is full or old the next slot takes over, and what that slot held is dropped:
-- the horizon rises over it, in this same script.
local function current_generation(view, limits)
  local slot = tostring(view.current)
  local generation = view.generations[slot]
  local full = generation
    and (redis.call('HLEN', generation_key(slot)) >= limits.keys or limits.now - generation.since >= limits.ms)
  if full then
    slot = tostring((view.current + 1) % GENERATIONS)
    view.current = tonumber(slot)
    local oldest = view.generations[slot]
    if oldest then
      view.horizon = max(view.horizon, after(oldest.newest))
      redis.call('UNLINK', generation_key(slot))
      view.generations[slot] = nil
    end
  end
  if not view.generations[slot] then view.generations[slot] = { since = limits.now, newest = ORIGIN } end
  return slot, view.generations[slot]
end

-- Writes the tombstone. None is needed where the horizon covers the version: `version < horizon` is
-- `after(version) <= horizon`, so `required` is the same with it and without it, and the horizon does not go back.
local function bury(view, limits, key, version)
  view.newest = max(view.newest, version)
  if version < view.horizon then return end
  local slot, generation = current_generation(view, limits)
  local hash = generation_key(slot)
  local known = redis.call('HGET', hash, key)
  if not known or known < version then redis.call('HSET', hash, key, version) end
  generation.newest = max(generation.newest, version)
end

-- The cell, without what is no cell: an error here must never leave a value that might be stale.
local function load_or_drop(cell_key)
  local cell, unreadable = load_cell(cell_key)
  if unreadable then redis.call('DEL', cell_key) end
  return cell
end

-- Takes the value's freshness from it, and leaves a lease that is out. Gives the outcome's letter.
local function invalidate(cell_key, cell, version, retain_ms)
  if not cell or cell.state ~= 'L' then return 'a' end
  if version < cell.low then return 'k' end
  if retain_ms > 0 then
    cell.state = 'S'
    save_cell(cell_key, cell, retain_ms)
    return 's'
  end
  save_cell(cell_key, without_value(cell), math.max(1, redis.call('PTTL', cell_key)))
  return 'r'
end
